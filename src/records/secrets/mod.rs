//! Values that never leave the connector: masked on the way from the API to the record.
//!
//! One rule for every place, for fields that are known and those that are not ([`names`] is the table of
//! names, [`texts`] knows URLs and tokens, [`json`] walks a value):
//!
//! | what | becomes |
//! |---|---|
//! | everything below `credentials` and `headers` | masked, but for `null` |
//! | the URL of a webhook | its host |
//! | a text or number under a name of a secret, or a list of them | masked; `true`, `false` and `null` stay |
//! | an object under a name of a secret | everything below masked, but for `null` |
//! | an object whose `name` is its key | looked into: a role may be called "token" |
//! | the stream key, the query and the user of an RTMP URL | masked |
//! | of any other URL the user and password, and parameters that name a token or a signature | masked |
//! | a room code in a link of 100ms, or of that form | masked |
//! | a JSON Web Token | masked, wherever it stands |
//! | a JSON document inside a text | looked into; in what an app wrote, a single ordinary word as a key says nothing |
//!
//! Keys stay, so that the shape of a configuration is still seen; a URL or token in a key is masked as in any
//! text. What holds no secret stays byte for byte.

mod json;
mod names;
mod texts;

pub use json::{masked, rewritten, rewritten_number, rewritten_string};
pub use names::Place;
pub use texts::{cut_urls, host, mask_text};

pub use crate::redact::MASK;

#[cfg(test)]
mod tests;
