//! Behaviour through the real binary, against a fake 100ms API that does all its documents allow.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its assumptions do")]

/// Starts fake and binary, prints everything on failure.
mod harness;
/// The protocol's messages, defined a second time and strictly.
mod messages;

/// The import table, and that schemas agree with the code.
mod house;
/// Every stream, in full: records, schemas, requests, readings, selection of columns, secrets.
mod read;
