//! Supervised training, and the parts of it that reinforcement learning shares.

pub mod freeze;
pub mod schedule;
