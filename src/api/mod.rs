//! The 100ms server-side API v2: one GET, and a method for each endpoint the streams read.
//!
//! | file | what it answers |
//! |---|---|
//! | `client` | how a request is made: settings, the GET and its loop of tries |
//! | `endpoints` | what can be asked: one method an endpoint, pages of lists |
//! | `answers` | what comes back: the objects of the API, borrowed from the text |
//! | `error` | what can go wrong, and what the caller can do about it |
//! | `refusal` | what a refusal says: its status, the vendor's sentence, the wait it names |
//! | `retry` | how often and how long to try |
//! | `limiter` | how many requests at once, and at which pace |
//! | `auth` | who we are: tokens, minted or pasted |
//! | `tls` | which certificates are trusted |
//! | `addresses` | which hosts may be reached |
//!
//! Nothing here knows Airbyte.

mod addresses;
mod answers;
mod auth;
mod client;
mod endpoints;
mod error;
mod limiter;
mod refusal;
mod retry;
mod tls;

pub use answers::{Asset, Event, EventData, Key, Keyed, Members, Peer, Raw, Recording, Room, Session, Template};
pub use auth::{Credentials, TokenProblem, expiry};
pub use client::{Client, Listener, Notice, Settings};
pub use endpoints::{ListFilter, PAGE_SIZE, Page, SMALL_PAGE};
pub use error::{ApiError, Problem};
pub use retry::Policy;
