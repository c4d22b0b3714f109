//! `hf:ORG/NAME` → the commit that is meant and the folder where a copy of it lies, if there is one. Fetches nothing itself:
//! whoever can, implements [`Hub`]; everything else here looks at the disk only.

mod name;
mod pull;
mod shelf;
#[cfg(test)]
mod tests;

pub use name::{HubName, NameError, RepoKind, is_commit};
pub use pull::{Hub, Order, Progress, Pulled, Trouble, TroubleKind, listing, orders, pull};
pub use shelf::{Held, Listed, Listing, Pin, Shelf};
