//! The Airbyte protocol (v0): messages out, configured catalog and state in. Knows nothing of 100ms.
//!
//! What comes in is read leniently where platforms differ (explicit nulls, unknown keys, every form of
//! state) and strictly where a misunderstanding would lose data (sync modes, cursor values).

mod catalog;
mod input;
mod messages;
mod states;

pub use catalog::{ConfiguredStream, read_catalog};
pub use input::{InputError, parse_json, shown};
pub use messages::*;
pub use states::{SavedStates, read_states};
