//! The 100ms server-side API v2: one GET, and a method for each endpoint the streams read.
//!
//! | file | what it answers |
//! |---|---|
//! | `client` | how a request is made: settings, the GET and its loop of tries |
//! | `request` | what is asked: a path and its query |
//! | `endpoints` | what can be asked: one method an endpoint, pages of lists |
//! | `answers` | what comes back: what stands around the items, borrowed from the text |
//! | `envelope` | which answers with status 200 are errors, or say that there is nothing |
//! | `pages` | what makes an answer a page of a list, and where a list ends |
//! | `error` | what can go wrong, and what the caller can do about it |
//! | `refusal` | what a refusal says: its status, the vendor's sentence, the wait it names |
//! | `exchange` | how one request and its answer go over the wire, and what can take the place of the wire |
//! | `transport` | what comes over the wire: bodies within bounds, what breaks on the way |
//! | `retry` | whether to try again, and when |
//! | `rate_limit` | who may go now: the bound for all, and a limit for each endpoint |
//! | `auth` | who we are: tokens, minted or pasted |
//! | `clocks` | what time it is, here and at 100ms |
//! | `proxy` | which proxy the requests go through |
//! | `tls` | which certificates are trusted |
//! | `addresses` | which hosts may be reached |
//! | `trail` | whether a list hands out the same page token twice |
//!
//! Nothing here knows about Airbyte.

mod addresses;
mod answers;
mod auth;
mod client;
mod clocks;
mod endpoints;
mod envelope;
mod error;
mod exchange;
mod pages;
mod proxy;
mod rate_limit;
mod refusal;
mod request;
mod retry;
#[cfg(test)]
mod test_server;
mod tls;
mod trail;
mod transport;

pub use answers::{Answer, Key, Keyed, Members, Raw};
pub use auth::{Credentials, OnMinted, TokenProblem, expiry};
pub use client::{Client, Effort, Listener, Notice, Settings};
pub use clocks::Clocks;
pub use endpoints::{
    EventFilter, List, ListFilter, PAGE_SIZE, Page, SMALL_PAGE, TemplatePart, WebhookFilter, WebhookPage,
    repeated_token,
};
pub use error::{ApiError, GaveUp, Problem};
pub use exchange::{Exchange, Received};
pub use proxy::Proxy;
pub use refusal::Redact;
pub use retry::Policy;
pub use trail::Trail;
