//! Tests of the binary, as a user meets it.

mod architecture;
mod bench;
mod check;
mod resume;
mod reuse;
mod run;
mod support;
