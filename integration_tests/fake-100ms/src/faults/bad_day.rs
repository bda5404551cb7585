//! Ready-made plans.

use super::plan::{Fault, FaultPlan, FaultRule, RetryHint, When};

/// What can go wrong on any route, with how often it does so compared to the others.
fn anywhere() -> Vec<(u32, Fault)> {
    vec![
        (4, Fault::Delay { milliseconds: 20, jitter: 60 }),
        (2, Fault::TooManyRequests(RetryHint::Seconds(1))),
        (1, Fault::TooManyRequests(RetryHint::HttpDate(1))),
        (1, Fault::TooManyRequests(RetryHint::Message(1))),
        (1, Fault::TooManyRequests(RetryHint::Nothing)),
        (2, Fault::Status(500)),
        (3, Fault::Status(502)),
        (3, Fault::Status(503)),
        (2, Fault::Status(504)),
        (3, Fault::ResetBeforeHeaders),
        (1, Fault::ResetWithinHeaders),
        (3, Fault::ResetWithinBody),
        (2, Fault::TruncatedBody),
        (2, Fault::HtmlPage),
        (2, Fault::StalledBody { milliseconds: 150 }),
        (1, Fault::ShortContentLength),
        (2, Fault::InvalidJson),
        (2, Fault::EmptyBody),
        (2, Fault::CorruptGzip),
        (3, Fault::NoDate),
        (2, Fault::UnknownFields),
    ]
}

/// What can go wrong with a page of a list, or of events.
fn on_pages() -> Vec<(u32, Fault)> {
    vec![
        (3, Fault::SmallerLimit(17)),
        (2, Fault::SmallerLimit(1)),
        (3, Fault::ShiftedItems(3)),
        (1, Fault::ExpiredCursor),
    ]
}

impl FaultPlan {
    /// A bad day for a soak: the faults a client can recover from, mixed at random.
    ///
    /// `intensity` is about the share of the requests that go wrong, 0.0 to 1.0. Waits last
    /// milliseconds, a wait that is named at most a second. Tokens stay good, no page token
    /// repeats and no field becomes null, so a client with any credentials reaches the end with
    /// the whole truth.
    pub fn random_mix(seed: u64, intensity: f64) -> FaultPlan {
        let faults = [anywhere(), on_pages()].concat();
        let total: u32 = faults.iter().map(|(weight, _)| weight).sum();
        let rule = |(weight, fault): (u32, Fault)| FaultRule {
            route: "*".to_owned(),
            when: When::Probability(intensity * f64::from(weight) / f64::from(total)),
            fault,
            stop_after: None,
        };
        FaultPlan { seed, rules: faults.into_iter().map(rule).collect(), ..FaultPlan::default() }
    }
}

/// Every key under which the documents show an object or an array.
const OBJECTS: &[&str] = &[
    "data",
    "events",
    "peers",
    "user",
    "recording_info",
    "upload_info",
    "options",
    "credentials",
    "polls",
    "webhook",
    "headers",
    "roles",
    "settings",
    "recording",
    "upload",
    "destinations",
    "plugins",
    "rtmpDestinations",
    "hlsDestinations",
    "transcriptions",
    "browserRecordings",
    "rtmpUrls",
    "asset_types",
    "recording_assets",
    "thumbnails",
    "metadata",
];

impl Fault {
    /// [`Fault::NullFields`] with every object or array the documents show.
    pub fn null_everything() -> Fault {
        Fault::NullFields(OBJECTS.iter().map(|key| (*key).to_owned()).collect())
    }
}
