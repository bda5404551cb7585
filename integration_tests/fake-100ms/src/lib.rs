//! A fake of the 100ms server-side API, for the tests, the demo and the benchmark of `source-100ms`.
//!
//! It is an opponent, not a helper: it is written from the vendor's documents alone, refuses every
//! request those do not allow, and where they are silent it can be switched to each reading. It
//! depends on nothing of the connector.
//!
//! - [`Fake`]: a running server on a loopback port, with its controls; stops when dropped.
//! - [`Fake::within`], [`Answered`]: the same workspace in the caller's own process, without a connection.
//! - [`Options`], [`Scale`], [`Counts`]: how large the workspace is and how the server behaves.
//! - [`Readings`]: both answers to each question the documents leave open.
//! - [`Truth`]: the records a correct connector emits, computed from the workspace itself; [`key_of`]
//!   and [`is_same`] compare with it.
//! - [`streams`], [`stream`]: what every suite knows of the connector's streams.
//! - [`Changes`]: what one round of [`Fake::advance`] touched.
//! - [`FaultPlan`], [`FaultRule`], [`When`], [`Fault`]: what goes wrong on the wire, and when.
//! - [`DateHeader`], [`Options::lag`]: a clock that is wrong, and lists that show late what was written.
//!
//! ```no_run
//! use fake_100ms::{Fake, Options};
//!
//! let fake = Fake::start(Options::default());
//! let (url, token) = (fake.url(), fake.token());
//! // … point a client at `url`, with `token`, then compare what it got:
//! let expected = &fake.truth().streams["sessions"];
//! ```
#![cfg_attr(test, allow(clippy::expect_used, reason = "a test says what it takes for granted"))]

mod answers;
mod clock;
mod control;
mod fake;
mod faults;
mod options;
mod readings;
mod requests;
mod routes;
mod server;
mod state;
mod table;
mod times;
mod tokens;
mod truth;
mod workspace;

pub use clock::DateHeader;
pub use fake::Fake;
pub use faults::{BAD_BYTE, Fault, FaultPlan, FaultRule, RateLimit, RetryHint, TokenPart, When};
pub use options::{Counts, Options, Scale};
pub use readings::{
    EmptyPage, EventsEnd, ExpiredFile, FilterEffect, FilterPrecision, Fraction, InactiveRoom, LastPage, ListOrder,
    MissingPart, MissingStats, NeverEdited, NoWebhook, Nothing, PeersShape, Readings, Spelling, TimeFilters,
    UnsetFilter, WebhookPages,
};
pub use requests::{LoggedRequest, RequestCount};
pub use server::Answered;
pub use table::{Stream, stream, streams};
pub use tokens::TokenClaims;
pub use truth::{Truth, is_same, key_of};
pub use workspace::advance::Changes;
