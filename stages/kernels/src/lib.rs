//! Slices → slices.
