//! Slices → slices: the arithmetic of a decoder on a CPU, forward and backward, each operator in one pass over its memory.
//! Refuses to know tensors, modules and tapes.
//!
//! Matrix products are those of `gemm`. Everything else is plain loops, compiled by `pulp` once per instruction set and
//! chosen at run time: one binary runs on any x86-64 and on aarch64, and uses AVX-512 where it is there. Operators run on
//! the thread that calls them, but for products, attention forward and AdamW in a pool of more than one thread. Same input, same machine: same bits.
//!
//! Everything is float32 and row-major; names carry the shape (`x_nd` is `[N, D]`).

#![expect(clippy::inline_always, reason = "what is not inlined into a loop is compiled for the smallest machine")]

pub mod adamw;
pub mod attention;
pub mod linear;
pub mod logprob;
pub mod matrix;
pub mod norm;
pub mod rotary;
mod simd;
pub mod swiglu;

#[cfg(test)]
mod testing;
