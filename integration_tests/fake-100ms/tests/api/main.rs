//! The fake, tested from outside with a client that shares nothing with the connector.
//!
//! - `client`: reads lists as the documents say, and shows what came over the wire.
//! - `workspace`: what is in it, and how it changes.
//! - `company`: a workspace in which nothing is odd.
//! - `reading`: the truth can be read under every reading.
//! - `paging`: pages, filters, and what is refused.
//! - `extras`: webhook history, quality of calls, live and external streams.
//! - `tokens`: who gets in.
//! - `faults`: what goes wrong; `attacks`: what a hostile or broken server does.
//! - `control`: the controls of the program.
#![expect(clippy::expect_used, reason = "a test says what it takes for granted")]

mod attacks;
mod client;
mod company;
mod control;
mod extras;
mod faults;
mod paging;
mod reading;
mod tokens;
mod workspace;
