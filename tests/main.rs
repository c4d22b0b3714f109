//! Tests of the binary, as a user meets it.
#![expect(clippy::unwrap_used, reason = "a test that finds nothing should fail")]

mod architecture;
mod cache;
mod check;
mod ci;
mod config;
mod curation;
#[cfg(feature = "rows")]
mod data;
mod estimate;
mod gate;
mod generate;
mod grade;
mod growth;
mod health;
mod kept;
mod lock;
mod mutate;
mod pairs;
mod resume;
mod reuse;
mod reward;
mod run;
mod speed;
mod support;
mod tiny;
mod verify;
