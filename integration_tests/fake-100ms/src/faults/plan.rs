//! The plan a test writes: which requests go wrong, and how.

use std::time::Duration;

/// Everything that goes wrong until the next plan. By default nothing goes wrong.
///
/// For one request the delays of all rules that hit add up, all hits that change the *shape* of
/// the page apply, and of the hits that *refuse* the request, and of those that spoil the *wire*,
/// the first in the list wins.
///
/// ```
/// use fake_100ms::{Fault, FaultPlan, RetryHint, When};
///
/// let plan = FaultPlan::new()
///     .latency(50, 10)
///     .on("/v2/sessions", When::First(2), Fault::Status(503))
///     .on("*", When::Every(40), Fault::TooManyRequests(RetryHint::Seconds(1)));
/// assert_eq!(plan.rules.len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// Seeds the probabilities and the jitter.
    pub seed: u64,
    /// Every request waits this long …
    pub latency: Duration,
    /// … and up to this much longer.
    pub jitter: Duration,
    /// They come before all rules.
    pub rate_limits: Vec<RateLimit>,
    /// In the order in which they are asked.
    pub rules: Vec<FaultRule>,
}

/// A steady limit: what comes faster is answered 429.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// The routes that share it, as in a [`FaultRule`]: `*` for all of them.
    pub route: String,
    /// Requests a second that are served.
    pub per_second: f64,
    /// How many may come at once after a quiet time.
    pub burst: u32,
    /// How the answer says when to come back. A number of seconds in it is a minimum: the answer
    /// never names less than the limiter will really hold.
    pub hint: RetryHint,
    /// Whether it comes and goes at random, every 30 requests it is about.
    pub at_times: bool,
}

/// How a 429 says when to come back.
#[derive(Clone, Debug, PartialEq)]
pub enum RetryHint {
    /// `Retry-After: 3`
    Seconds(u64),
    /// `Retry-After: Sun, 15 Jun 2025 12:00:03 GMT`: that many seconds after the server's own
    /// clock, which is what the `Date` header says.
    HttpDate(u64),
    /// Only in the message: `rate limit exceeded, retry after 3 seconds`.
    Message(u64),
    /// Neither.
    Nothing,
}

/// One kind of fault on some requests of some routes.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// A route in its pattern form, such as `/v2/templates/{id}/settings`; `*` for every route, or
    /// a trailing `*` for every route that begins so. Or the path of one object, such as
    /// `/v2/templates/665f…/settings`, or a path and a parameter, such as
    /// `/v2/analytics/events?room_id=665f…`.
    pub route: String,
    /// Which of the route's requests.
    pub when: When,
    /// What happens to them.
    pub fault: Fault,
    /// How often it may happen at most.
    pub stop_after: Option<u64>,
}

/// Which of the requests that a rule's route matches; counted from 1, since the plan was set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Every one.
    Always,
    /// This one.
    Nth(u64),
    /// So many from the beginning.
    First(u64),
    /// All after the first n.
    After(u64),
    /// The k-th, the 2k-th, …
    Every(u64),
    /// 0.0 to 1.0
    Probability(f64),
    /// The same, but one request is hit no more than so many times in a row.
    ProbabilityWithin(f64, u64),
}

/// In a JSON text of a fault, this stands for a byte that is not UTF-8.
pub const BAD_BYTE: char = '\u{f8fe}';

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The answer comes later.
    Delay {
        /// At least so long …
        milliseconds: u64,
        /// … and up to this much longer.
        jitter: u64,
    },

    // Refusals: the request is not served.
    /// 429
    TooManyRequests(RetryHint),
    /// 429 without a hint, at once, while more requests than this are in flight. It does not hit others.
    TooManyInFlight(usize),
    /// Any status with the documented error body: 500, 502, 503, 504, …
    Status(u16),
    /// Any status, with this text as `Retry-After`.
    Refused {
        /// Any but 200.
        status: u16,
        /// A number, a date or anything else.
        retry_after: String,
    },
    /// Any status, with a message that says nothing and the reason in `details`.
    Detailed {
        /// Any but 200.
        status: u16,
        /// The only one of its details.
        detail: String,
    },
    /// A refusal whose message repeats the token that was sent.
    EchoToken {
        /// Any but 200.
        status: u16,
        /// How much of it.
        part: TokenPart,
    },
    /// 401 as for a token that has expired, on this request only.
    Unauthorized,
    /// Every token seen so far is refused from this request on; tokens not seen before are good.
    VoidTokens,
    /// 403
    Forbidden,
    /// 403 about this one room.
    RoomDisabled,
    /// 404
    NotFound,
    /// 400 as for a cursor older than 24 h; only hits requests of events that carry `start`.
    ExpiredCursor,

    // Shapes: the page is served, but not as expected.
    /// `last` or `next` is the `start` that was sent. Without a `start` nothing happens.
    RepeatedPageToken,
    /// `last` or `next` is the one with which the page before was asked for: A, B, A, B and so on.
    /// Nothing happens on the first two pages.
    EarlierPageToken,
    /// Pages of at most so many items, while the answer's `limit` says what was asked for.
    CapsBelowLimit(u32),
    /// `after` and `before` change nothing.
    IgnoresTimes,
    /// The answer's `limit` is this JSON text.
    LimitText(String),
    /// Pages of at most so many items, named in the answer's `limit`.
    SmallerLimit(u32),
    /// The page begins with the last k items of the page before.
    ShiftedItems(usize),
    /// Fields no document knows, in the envelope and in every item that becomes a record.
    UnknownFields,
    /// These keys are null, wherever in the answer they hold an object or an array. `data` and
    /// `events` become null only when empty.
    NullFields(Vec<String>),
    /// Status 200 and this text instead of the answer: `{}`, or an error object.
    Says(String),
    /// Every member of this name, at whatever depth, has this JSON text as its value. It is not
    /// checked: an unpaired surrogate or `1e400` goes out as it stands.
    SetMember {
        /// The name.
        key: String,
        /// Its value.
        json: String,
    },
    /// Every item of a list and every peer has one more member, both parts in JSON text.
    AddMember {
        /// With its quotes: `"new"`.
        key: String,
        /// Its value.
        json: String,
    },
    /// Secrets of its own in every place of the answer: in every object under names that tell a
    /// secret, and in every text that is neither an id nor a time nor one of a few words, inside a URL.
    /// [`crate::Fake::secrets`] lists them.
    PlantSecrets,
    /// The id of every item holds the token that was sent.
    TokenAsId,
    /// `last` or `next` is the token that was sent.
    TokenAsPageToken,
    /// Every item of a list carries so many bytes of padding.
    HeavyItems(usize),
    /// No `Date` header.
    NoDate,

    /// The page is served with this status instead of 200, as by a proxy that changes what passes (203).
    GoodStatus(u16),

    // The wire: the answer is served, but does not arrive as sent.
    /// Reset once the request has been read.
    ResetBeforeHeaders,
    /// Reset after half of the headers.
    ResetWithinHeaders,
    /// Reset after the headers and half of the body.
    ResetWithinBody,
    /// An orderly end of the connection after half of the body.
    TruncatedBody,
    /// Status 200, `text/html`.
    HtmlPage,
    /// Half of the body, a pause, the rest.
    StalledBody {
        /// How long the pause is.
        milliseconds: u64,
    },
    /// Half of the body and then nothing, until the client goes away.
    EndlessStall,
    /// The body comes byte by byte, and when it is over blanks follow, for ever.
    DrippingBody {
        /// How long the pauses between two bytes are.
        milliseconds: u64,
    },
    /// A list whose items never end, as fast as they can be taken.
    EndlessBody,
    /// A page of 10 GB of blanks that gzip makes small. Only hits requests that accept gzip.
    GzipBomb,
    /// A `Content-Length` smaller than the body, which comes whole.
    ShortContentLength,
    /// Well framed, status 200, cut in the middle of the JSON text.
    InvalidJson,
    /// `Content-Length: 0`, status 200.
    EmptyBody,
    /// Status 204, which has no body.
    NoContent,
    /// Broken gzip data. Only hits requests that accept gzip.
    CorruptGzip,
}

/// How much of a token an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPart {
    /// All of it.
    Whole,
    /// All of it, so far to the right in a long message that whoever cuts the message cuts the token.
    FarToTheRight,
    /// What stands before its first dot and a little more.
    Beginning,
    /// What stands between its dots.
    Middle,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> FaultPlan {
        FaultPlan::default()
    }

    /// Every request takes so many milliseconds, and up to `jitter` more.
    pub fn latency(mut self, milliseconds: u64, jitter: u64) -> FaultPlan {
        self.latency = Duration::from_millis(milliseconds);
        self.jitter = Duration::from_millis(jitter);
        self
    }

    /// At most so many requests a second; after a quiet time, a whole second's worth at once.
    pub fn rate_limit(self, per_second: f64, hint: RetryHint) -> FaultPlan {
        self.rate_limit_on("*", per_second, hint)
    }

    /// The same for one route; the others have no limit.
    pub fn rate_limit_on(mut self, route: &str, per_second: f64, hint: RetryHint) -> FaultPlan {
        let burst = per_second.ceil() as u32;
        self.rate_limits.push(RateLimit { route: route.to_owned(), per_second, burst, hint, at_times: false });
        self
    }

    /// Limits that come and go at random, on every endpoint for itself.
    pub fn limits_at_times(mut self, per_second: f64, hint: RetryHint) -> FaultPlan {
        for route in LISTS {
            self = self.rate_limit_on(route, per_second, hint.clone());
        }
        self.rate_limits.iter_mut().for_each(|limit| limit.at_times = true);
        self
    }

    /// One more rule.
    pub fn on(mut self, route: &str, when: When, fault: Fault) -> FaultPlan {
        self.rules.push(FaultRule { route: route.to_owned(), when, fault, stop_after: None });
        self
    }

    /// The last rule happens at most so often.
    pub fn at_most(mut self, hits: u64) -> FaultPlan {
        if let Some(rule) = self.rules.last_mut() {
            rule.stop_after = Some(hits);
        }
        self
    }
}

/// The endpoints that are asked again and again.
const LISTS: [&str; 8] = [
    "/v2/sessions",
    "/v2/rooms",
    "/v2/templates",
    "/v2/templates/{id}/settings",
    "/v2/recordings",
    "/v2/recording-assets",
    "/v2/recording-assets/{id}/presigned-url",
    "/v2/analytics/events",
];

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
    /// For a soak: the faults a client can recover from, mixed at random.
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
    pub(crate) fn good_status(&self) -> Option<u16> {
        match self {
            Fault::GoodStatus(status) => Some(*status),
            _ => None,
        }
    }

    /// [`Fault::NullFields`] with every object or array the documents show.
    pub fn null_everything() -> Fault {
        Fault::NullFields(OBJECTS.iter().map(|key| (*key).to_owned()).collect())
    }
}
