//! The endpoints that are read: the path of each, and how its answers are told from errors.

/// The largest page the API serves.
pub const PAGE_SIZE: u64 = 100;
/// The smallest page that every list accepts: enough for `check`.
pub const SMALL_PAGE: u64 = 10;

/// An endpoint, and how its answers are told from errors that come with status 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The path below `/v2`, with `{id}` where an id stands.
    pub(super) path: &'static str,
    /// The filter for what is live or enabled only.
    pub(super) flag: &'static str,
    /// The members by which an answer is recognised.
    pub(super) own: &'static [&'static str],
    /// Whether an answer without any of them is none, even if it does not look like an error.
    pub(super) is_closed: bool,
    /// Whether an answer without a body means that there is nothing.
    pub(super) may_be_empty: bool,
    /// The answer that status 204 stands for.
    pub(super) no_content: &'static str,
    /// Whether it is about one item, so that a refusal may be meant for that item alone.
    pub(super) is_of_one_item: bool,
    /// Whether it can be done without. Requests for links always fail in some workspaces, and nobody should wait for
    /// them.
    pub(super) is_optional: bool,
    /// Whether one request is made at a time once it has been limited.
    pub(super) is_cautious: bool,
}

impl Endpoint {
    pub const SESSIONS: Self = Self::list("sessions", "active");
    pub const ROOMS: Self = Self::list("rooms", "enabled");
    /// Templates, whole.
    pub const TEMPLATES: Self = Self::list("templates", "");
    /// Recordings, usually without their files.
    pub const RECORDINGS: Self = Self::list("recordings", "");
    /// Files of recordings, live streams and external streams.
    pub const RECORDING_ASSETS: Self = Self::list("recording-assets", "");
    /// HLS streams.
    pub const LIVE_STREAMS: Self = Self::list("live-streams", "");
    /// RTMP streams.
    pub const EXTERNAL_STREAMS: Self = Self::list("external-streams", "");
    /// The events of a room in the last 30 days, in no documented order.
    pub const EVENTS: Self =
        Self { own: &["events", "limit"], is_of_one_item: true, ..Self::list("analytics/events", "") };
    /// What was delivered to the workspace's webhook.
    pub const WEBHOOK_EVENTS: Self =
        Self { own: &["events", "pagination", "summary"], is_cautious: true, ..Self::list("analytics/webhooks", "") };
    pub const RECORDING: Self = Self {
        own: &["id", "_id"],
        is_closed: true,
        no_content: "",
        is_of_one_item: true,
        ..Self::list("recordings/{id}", "")
    };
    pub const LIVE_STREAM: Self = Self { path: "live-streams/{id}", ..Self::RECORDING };
    pub const EXTERNAL_STREAM: Self = Self { path: "external-streams/{id}", ..Self::RECORDING };
    pub(super) const PRESIGNED_URL: Self = Self {
        path: "recording-assets/{id}/presigned-url",
        own: &["url", "path", "expiry", "id"],
        no_content: "null",
        is_optional: true,
        ..Self::RECORDING
    };
    pub(super) const ACTIVE_ROOM_PEERS: Self = Self {
        path: "active-rooms/{id}/peers",
        own: &["peers"],
        may_be_empty: true,
        no_content: "null",
        ..Self::RECORDING
    };
    /// The measurements of a peer in a session that has ended.
    pub const PEER_STATS: Self = Self {
        path: "analytics/peer-stats",
        own: &["publisher", "subscriber", "peer_id", "session_id", "room_id"],
        ..Self::ACTIVE_ROOM_PEERS
    };
    /// An object. There may be other settings than these.
    pub const TEMPLATE_SETTINGS: Self = Self {
        path: "templates/{id}/settings",
        own: &["region", "recording", "roomState", "retry", "subscribeDegradation"],
        is_closed: false,
        ..Self::ACTIVE_ROOM_PEERS
    };
    /// The destinations of a template by kind. There may be other kinds.
    pub const TEMPLATE_DESTINATIONS: Self = Self {
        path: "templates/{id}/destinations",
        own: &["rtmpDestinations", "hlsDestinations", "browserRecordings", "transcriptions"],
        ..Self::TEMPLATE_SETTINGS
    };
    /// The recording configurations of a template: an array.
    pub const TEMPLATE_RECORDINGS: Self =
        Self { path: "templates/{id}/recordings", own: &[], ..Self::TEMPLATE_SETTINGS };

    /// Whether its items are told apart by a flag, which every request has to set.
    pub fn has_flag(&self) -> bool {
        !self.flag.is_empty()
    }

    /// A list whose pages are named by the id of their last item, newest first.
    const fn list(path: &'static str, flag: &'static str) -> Self {
        Self {
            path,
            flag,
            own: &["data", "limit"],
            is_closed: false,
            may_be_empty: false,
            no_content: r#"{"data":[],"events":[]}"#,
            is_of_one_item: false,
            is_optional: false,
            is_cautious: false,
        }
    }
}
