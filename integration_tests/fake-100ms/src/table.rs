//! What every suite knows of the streams: `streams.json`, which the suites in Python read, too.

use std::sync::LazyLock;

use serde::Deserialize;

/// A stream of the connector, as its documentation promises it.
#[derive(Debug, Deserialize)]
pub struct Stream {
    pub name: String,
    /// Whether a configuration has to ask for it.
    #[serde(default)]
    pub is_extra: bool,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// The column of its cursor; none when it is read whole each time.
    pub cursor: Option<String>,
    /// The columns that are about people; behind a dot what is so in a column.
    pub personal: Vec<String>,
}

#[expect(clippy::expect_used, reason = "a file of this package, which every test reads")]
static STREAMS: LazyLock<Vec<Stream>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../streams.json")).expect("the table of streams"));

/// All streams, in the order of `discover`.
pub fn streams() -> &'static [Stream] {
    &STREAMS
}

/// The stream `name`.
///
/// # Panics
/// When the table has no such stream.
#[expect(clippy::expect_used, reason = "a test that asks for another stream is wrong")]
pub fn stream(name: &str) -> &'static Stream {
    STREAMS.iter().find(|stream| stream.name == name).expect("a stream of the table")
}
