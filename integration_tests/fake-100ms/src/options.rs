//! How large the workspace is and how the server behaves.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::readings::Readings;

/// What a [`crate::Fake`] is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed, scale and clock give the same workspace, whatever the readings are.
    pub seed: u64,
    /// How much there is.
    pub scale: Scale,
    /// How the open questions are answered.
    pub readings: Readings,
    /// The workspace clock at the start, cut to whole seconds, as the `Date` header says it.
    pub now: DateTime<Utc>,
    /// What is written shows in lists only so long after its time, by the workspace clock: the full
    /// time for some objects, a part of it for others. Until then a list has the object as it was,
    /// or not at all. Answers about a single object do not lag.
    pub lag: TimeDelta,
    /// 0 takes a free port.
    pub port: u16,
    /// The server's own cap on `limit`. A smaller one than asked is named in the answer's `limit`.
    pub max_page: u32,
    /// Whether `Accept-Encoding: gzip` is honoured. A benchmark of a client switches it off here
    /// when the server shares the machine, as compressing costs more than all the rest.
    pub gzip: bool,
    /// Whether bodies come with `Transfer-Encoding: chunked` instead of a `Content-Length`.
    pub chunked: bool,
    /// How many requests are remembered one by one. Tests look at the last few; a benchmark that fetches
    /// the same pages once more needs all.
    pub log_length: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 1,
            scale: Scale::Small,
            readings: Readings::documented(),
            now: default_now(),
            lag: TimeDelta::zero(),
            port: 0,
            max_page: 100,
            gzip: true,
            chunked: false,
            log_length: 2_000,
        }
    }
}

impl Options {
    /// A workspace to look at rather than to test with: [`Scale::Company`], as it is today.
    pub fn company() -> Options {
        Options { scale: Scale::Company, now: Utc::now(), ..Options::default() }
    }
}

/// A fixed moment, so that two runs of a test see the same workspace.
#[expect(clippy::expect_used, reason = "noon UTC exists on every day")]
fn default_now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 6, 15, 12, 0, 0).single().expect("a good date")
}

/// How much the workspace holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Several pages of everything that comes in numbers: good for a test.
    Small,
    /// A busy customer's account: 1,500 rooms, 12,000 sessions, 20,000 events.
    Large,
    /// Any other size.
    Custom(Counts),
    /// An online tutoring company: some 650 sessions of the last six weeks, up to [`Options::now`]. Nothing about it
    /// is odd, and it has neither streams nor a webhook.
    Company,
}

/// The numbers behind a [`Scale`]. Recording assets follow from the recordings: about three each.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Without rooms there are no sessions, recordings or events either.
    pub rooms: usize,
    /// Of all ages, few of them live.
    pub sessions: usize,
    /// So many of the sessions began within one and the same second: a class, an import.
    pub sessions_in_one_second: usize,
    /// The usual number; exactly this many in every session unless `varied`.
    pub peers_per_session: usize,
    /// The first four show every kind of destination, and each way to have none.
    pub templates: usize,
    /// In every status, most of them completed.
    pub recordings: usize,
    /// `None` is a mixture: recordings in every status, with no file or several. Otherwise each recording is
    /// completed and has exactly so many files.
    pub files_per_recording: Option<usize>,
    /// On average; they are spread unevenly.
    pub events_per_room: usize,
    /// Live (HLS) streams of all ages.
    pub live_streams: usize,
    /// External (RTMP) streams of all ages.
    pub external_streams: usize,
    /// What the workspace's webhook was told in the last 30 days. They are kept compactly: half a
    /// million cost little.
    pub webhook_events: usize,
    /// For about so many peers, those of the latest sessions, the quality of their call is known.
    /// With 0 it is not known for later sessions either.
    pub peers_with_stats: usize,
    /// How many sessions and rooms were created in the last 13 hours, and as many again in the last
    /// 72. `None` is a share that suits a test of look-backs.
    pub lately: Option<usize>,
    /// Whether the workspace holds the odd ones: sessions without peers, one with 2,000 (from 200
    /// sessions on), peers without an id, bursts of creations in one instant. Off for a benchmark, which
    /// wants all of one size and evenly spread.
    pub varied: bool,
}

impl Default for Counts {
    /// The counts of [`Scale::Small`].
    fn default() -> Counts {
        Counts {
            rooms: 40,
            sessions: 260,
            sessions_in_one_second: 0,
            peers_per_session: 4,
            templates: 12,
            recordings: 130,
            files_per_recording: None,
            events_per_room: 15,
            live_streams: 110,
            external_streams: 110,
            webhook_events: 450,
            peers_with_stats: 120,
            lately: None,
            varied: true,
        }
    }
}

impl Scale {
    /// The numbers behind it.
    pub fn counts(&self) -> Counts {
        match self {
            Scale::Small => Counts::default(),
            Scale::Large => Counts {
                rooms: 1_500,
                sessions: 12_000,
                templates: 120,
                recordings: 3_500,
                events_per_room: 13,
                live_streams: 800,
                external_streams: 800,
                webhook_events: 8_000,
                peers_with_stats: 1_000,
                ..Counts::default()
            },
            Scale::Custom(counts) => counts.clone(),
            // Its plan decides how much there is.
            Scale::Company => Counts {
                live_streams: 0,
                external_streams: 0,
                webhook_events: 0,
                peers_with_stats: 0,
                varied: false,
                ..Counts::default()
            },
        }
    }
}
