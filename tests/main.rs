//! Tests of the binary, as a user meets it.

mod bench;
mod resume;
