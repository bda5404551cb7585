//! An Airbyte source connector for 100ms, the live video platform.
//!
//! The modules, in the order in which data passes through them (it is fetched, shaped and written):
//!
//! - [`api`]: the client for the 100ms API: tokens, GET requests, and the only loop of retries. It knows nothing
//!   about Airbyte.
//! - [`streams`]: the streams, one file for each: where their records come from and how they are shaped.
//! - [`sync`]: the engine: it knows what is left to read, fetches it, and writes records and states.
//! - [`airbyte`]: the messages of the protocol. It knows nothing about 100ms.
//! - [`redact`]: masks secrets in everything that the connector says.
//! - [`config`]: the settings. [`failure`]: what the user reads when something goes wrong.
//! - [`seams`]: what a simulation puts in the place of the machine's clock and of chance.
//! - [`nearest`]: finds the name that somebody meant who mistyped one.
//! - [`terminal`]: what a person sees instead of messages.
//! - [`commands`]: the commands `spec`, `check`, `discover`, `read` and `completions`.

pub mod airbyte;
pub mod api;
pub mod commands;
pub mod config;
pub mod failure;
pub mod nearest;
mod records;
pub mod redact;
pub mod seams;
pub mod streams;
pub mod sync;
pub mod terminal;
