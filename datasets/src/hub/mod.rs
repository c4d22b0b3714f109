//! A repository of the Hugging Face hub → its files in the hub's cache on this machine. Addresses, folders and tokens are
//! hf-hub's; the transfer is done here over the same HTTP client, since hf-hub's own download tells neither a busy hub from
//! a closed door nor a whole file from a damaged one: it appends whatever comes to whatever is there. Refuses to know what
//! files mean, and which of them are needed.

mod client;
mod error;
mod listing;
mod request;
#[cfg(test)]
#[path = "../../../tests/support/hub.rs"]
mod server;
#[cfg(test)]
mod tests;
mod transfer;

pub use client::{Client, Patience, Repository, Settings};
pub use error::{HubError, HubErrorKind};
pub use listing::{RemoteFile, Snapshot};
pub use transfer::Event;
