//! The Airbyte protocol (v0): messages out, configured catalog and state in. It knows nothing about 100ms.
//!
//! | file | what it answers |
//! |---|---|
//! | `messages` | what the connector writes: messages, and what takes them |
//! | `catalog` | which streams and columns to read, and how |
//! | `states` | where the last read ended, in every form in which a state may come |
//! | `input` | what is wrong with a file that somebody else wrote |
//!
//! What comes in is read leniently where platforms differ (explicit nulls, unknown keys, every form of
//! state) and strictly where a misunderstanding would lose data (sync modes, cursor values).

mod catalog;
mod input;
mod messages;
mod states;

pub use catalog::{ConfiguredStream, read_catalog};
pub use input::{parse_json, shown};
pub use messages::*;
pub use states::{SavedStates, read_states};
