//! An Airbyte source connector for 100ms, the live video platform.
//!
//! The map, along the way of the data (fetch, shape, write):
//!
//! - [`api`]: the client of the 100ms API: tokens, one GET, the one retry loop. Knows nothing of Airbyte.
//! - [`streams`]: eight streams, one file each: where records come from and how they are shaped.
//! - [`sync`]: the engine: what is left to read, who reads it, states, the one writer.
//! - [`airbyte`]: the protocol's messages. Knows nothing of 100ms.
//! - [`redact`]: masks what is secret in all that is said.
//! - [`config`]: what the user sets. [`failure`]: what the user reads when something goes wrong.
//! - [`nearest`]: what somebody meant who mistyped a name.
//! - [`terminal`]: what a person sees instead of messages.
//! - [`commands`]: `spec`, `check`, `discover`, `read`.

pub mod airbyte;
pub mod api;
pub mod commands;
pub mod config;
pub mod failure;
pub mod nearest;
pub mod redact;
pub mod streams;
pub mod sync;
pub mod terminal;
