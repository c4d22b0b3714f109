//! Tests of the binary, as a user meets it.

mod bench;
mod check;
mod resume;
mod support;
