//! The client for the 100ms server-side API v2: one GET, and a method for each kind of answer that the streams read.
//!
//! | file | what it answers |
//! |---|---|
//! | `client` | how a request is made: settings, the GET and its loop of tries |
//! | `endpoint` | the endpoints that are read, and how the answers of each are recognised |
//! | `endpoints` | what is read from an answer: a page of a list, one object |
//! | `request` | what one request is: a path and its query |
//! | `answers` | how items are borrowed from the text of an answer |
//! | `envelope` | what stands around the items: errors with status 200, pages, where a list goes on |
//! | `error` | what can go wrong, and what the caller can do about it |
//! | `error_response` | what a refusal says: its status, the vendor's sentence, the wait it names |
//! | `exchange` | how one request and its answer go over the wire: what a simulation replaces, bodies within bounds, what breaks |
//! | `retry` | whether to try again, and when |
//! | `rate_limit` | when a request may go: the bound for all, and a limit for each endpoint |
//! | `auth` | which token is sent, minted or pasted |
//! | `clocks` | what time it is, here and at 100ms |
//! | `proxy` | which proxy the requests go through |
//! | `tls` | which certificates are trusted |
//! | `private_hosts` | which hosts may be reached |
//!
//! Nothing here knows about Airbyte.

mod answers;
mod auth;
mod client;
mod clocks;
mod endpoint;
mod endpoints;
mod envelope;
mod error;
mod error_response;
mod exchange;
mod private_hosts;
mod proxy;
mod rate_limit;
mod request;
mod retry;
#[cfg(test)]
mod test_server;
mod tls;

pub use answers::{Answer, Key, Keyed, Raw, entries, members_of};
pub use auth::{Credentials, OnMinted, expiry};
pub use client::{Client, Listener, Notice, RetryStats, Settings};
pub use clocks::{Clocks, day};
pub use endpoint::{Endpoint, PAGE_SIZE, SMALL_PAGE};
pub use endpoints::{Page, WebhookPage, repeated_token};
pub use error::{ApiError, Problem};
pub use exchange::Exchange;
pub use private_hosts::is_loopback;
pub use request::Get;
pub use retry::Policy;
