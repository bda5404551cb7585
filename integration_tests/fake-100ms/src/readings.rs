//! Both readings of every question that the vendor's documents leave open.
//!
//! A workspace is the same under all of them: only what the server answers differs, and with it,
//! where the connector's contract says so, the truth.

/// One answer to each open question. [`Readings::documented`] is what the documents suggest.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// What `active` and `enabled` mean when they are not sent.
    pub unset_filter: UnsetFilter,
    /// Whether sessions that are over carry `ended_at`.
    pub ended_at: bool,
    /// Whether the end of a session moves its `updated_at`.
    pub session_end_moves_updated_at: bool,
    /// `updated_at` of what was never edited.
    pub never_edited: NeverEdited,
    /// Whether everything has a `created_at`. Where it has none, some objects only have the time in their id.
    pub all_created: bool,
    /// Whether those who were in a session to its end have a `left_at`.
    pub all_left: bool,
    /// Whether an asset that comes late moves its recording's `updated_at`.
    pub late_assets_touch_recording: bool,
    /// Whether files are listed before they are finished, without a path and a size.
    pub files_before_finished: bool,
    /// Whether `peers` is an object keyed by peer id, in sessions and in active rooms.
    pub peers: PeersShape,
    /// How templates spell their own fields.
    pub template_spelling: Spelling,
    /// Whether the destinations of a template stand under both spellings of their kind.
    pub destinations_twice: bool,
    /// How many digits of a second times have.
    pub fraction: Fraction,
    /// What a room that nobody is in answers when asked for its peers.
    pub inactive_room: InactiveRoom,
    /// What `last` is when nothing follows.
    pub last_page: LastPage,
    /// What `data` is on a page without items.
    pub empty_page: EmptyPage,
    /// What `next` is when no event follows.
    pub events_end: EventsEnd,
    /// Whether a page of events may be empty although more follow.
    pub empty_event_pages: bool,
    /// Documented as newest first: other values show what rests on it.
    pub session_order: ListOrder,
    /// Of rooms.
    pub room_order: ListOrder,
    /// Of templates.
    pub template_order: ListOrder,
    /// Of recordings and of recording assets.
    pub recording_order: ListOrder,
    /// Of the analytics events of a room.
    pub event_order: ListOrder,
    /// How exactly `after` and `before` compare.
    pub filter_precision: FilterPrecision,
    /// Whether peers of sessions and recording assets have fields that no document knows. They are
    /// passed on inside the entry.
    pub unknown_entry_fields: bool,
    /// Whether the list of recordings holds their `recording_assets`.
    pub inline_assets: bool,
    /// What a pre-signed URL is refused with when the file is gone.
    pub expired_file: ExpiredFile,
    /// How a template says that it has no destination of a kind.
    pub missing_destinations: MissingPart,
    /// Whether some templates have a kind of destination no document knows.
    pub unknown_destination_kind: bool,
    /// Which times `after`, `before`, `start_time` and `end_time` may be.
    pub time_filters: TimeFilters,
    /// What `session_id`, `peer_id` and `user_id` do to analytics events.
    pub event_id_filters: FilterEffect,
    /// What `error=true` does to analytics events.
    pub event_error_filter: FilterEffect,
    /// Whether the workspace has a webhook: without one there is no history of deliveries.
    pub has_webhook: bool,
    /// What a workspace without a webhook answers when asked for its history.
    pub no_webhook: NoWebhook,
    /// In which order the deliveries of webhooks come.
    pub webhook_order: ListOrder,
    /// What happens to page numbers of deliveries while new ones arrive.
    pub webhook_pages: WebhookPages,
    /// Whether each attempt to deliver an event has an entry of its own, under the event's id. Failed ones are made
    /// again after 1, 3 and 10 s, and events are replayed days later.
    pub webhook_attempts: bool,
    /// What a peer answers whose quality is not known.
    pub missing_stats: MissingStats,
    /// How the endpoints about one object say that there is nothing.
    pub nothing: Nothing,
    /// Whether the list of live streams holds their `recording_assets`.
    pub live_streams_with_assets: bool,
    /// The same of external streams.
    pub external_streams_with_assets: bool,
}

/// See [`Readings::unset_filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsetFilter {
    /// Only the active, only the enabled: "Default: true".
    True,
    /// All of them.
    Both,
}

/// See [`Readings::never_edited`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeverEdited {
    /// `0001-01-01T00:00:00Z`
    ZeroTime,
    /// The same as another place on earth writes it: `0001-01-01T05:53:28+05:53`
    ZeroTimeElsewhere,
    /// `1970-01-01T00:00:00Z`
    Year1970,
    /// `1900-01-01T00:00:00Z`
    Year1900,
    /// Long before the creation: when that was edited of which it is a copy.
    EditOfTheOriginal,
    /// The same as `created_at`.
    CreatedAt,
}

/// See [`Readings::peers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeersShape {
    /// `{"<peer id>":{…}}`
    Object,
    /// `[{"id":"<peer id>",…}]`
    Array,
    /// `[{…}]`: nothing tells the id of a session's peer. Active rooms tell it all the same.
    ArrayWithoutIds,
}

/// See [`Readings::template_spelling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `createdAt`, `customerId`
    Camel,
    /// `created_at`, `customer_id`
    Snake,
    /// Each template in one of the two.
    Mixed,
}

/// See [`Readings::fraction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// 0 to 9 digits, trailing zeros cut.
    Varied,
    /// Whole seconds; the workspace then knows no smaller times.
    None,
    /// Always 9 digits.
    Nano,
}

/// See [`Readings::inactive_room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InactiveRoom {
    /// 404
    NotFound,
    /// `{"peers":{}}`
    EmptyPeers,
    /// `{"peers":null}`
    NullPeers,
}

/// See [`Readings::last_page`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPage {
    /// The id of its last item, as on every page.
    CarriesLast,
    /// `null`
    Null,
    /// Not there.
    Absent,
    /// `""`
    EmptyString,
}

/// See [`Readings::empty_page`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyPage {
    /// `[]`
    EmptyData,
    /// `null`
    NullData,
    /// Not there.
    NoData,
}

/// See [`Readings::events_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsEnd {
    /// `""`
    EmptyString,
    /// `null`
    Null,
    /// Not there.
    Absent,
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// By descending id and time of creation.
    NewestFirst,
    /// By ascending id and time of creation.
    OldestFirst,
    /// No order a client could use, but the same at every request.
    Shuffled,
}

/// See [`Readings::filter_precision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPrecision {
    /// To the nanosecond.
    Full,
    /// Both sides are cut to whole seconds before they are compared.
    Seconds,
}

/// See [`Readings::expired_file`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiredFile {
    /// 404
    NotFound,
    /// 400 with a message
    BadRequest,
}

/// See [`Readings::missing_destinations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPart {
    /// Not there.
    Absent,
    /// `null`
    Null,
    /// `{}`
    EmptyObject,
}

/// See [`Readings::time_filters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFilters {
    /// Everything that RFC 3339 allows.
    Any,
    /// Only `YYYY-MM-DDTHH:mm:ss.sssZ`, as the general pages write it; all else is a 400.
    Milliseconds,
}

/// See [`Readings::event_id_filters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterEffect {
    /// Only what matches is answered.
    Narrows,
    /// Everything is answered.
    Ignored,
    /// Nothing is answered.
    FindsNothing,
}

/// See [`Readings::no_webhook`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWebhook {
    /// A page without events.
    Empty,
    /// 404
    NotFound,
}

/// See [`Readings::webhook_pages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPages {
    /// `end_time` holds to the instant: only late deliveries move what is on a page.
    Fixed,
    /// An `end_time` of less than an hour ago is taken as "now": what arrives while the pages are
    /// read is in them too and moves everything behind it.
    Shifting,
}

/// See [`Readings::nothing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// Each in its own way, see [`Readings::inactive_room`] and [`Readings::missing_stats`].
    EachItsOwn,
    /// 204
    NoContent,
    /// Status 200 without a body.
    EmptyBody,
    /// `null`
    Null,
}

/// See [`Readings::missing_stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingStats {
    /// 404
    NotFound,
    /// An answer without a track.
    Empty,
    /// The same, and wherever there is no track stands `null` instead of an empty list.
    Null,
}

impl Readings {
    /// What the documents and the vendor's samples suggest.
    pub fn documented() -> Readings {
        Readings {
            unset_filter: UnsetFilter::True,
            ended_at: true,
            session_end_moves_updated_at: true,
            never_edited: NeverEdited::ZeroTime,
            all_created: true,
            all_left: true,
            late_assets_touch_recording: false,
            files_before_finished: false,
            peers: PeersShape::Object,
            template_spelling: Spelling::Camel,
            destinations_twice: false,
            fraction: Fraction::Varied,
            inactive_room: InactiveRoom::NotFound,
            last_page: LastPage::CarriesLast,
            empty_page: EmptyPage::EmptyData,
            events_end: EventsEnd::EmptyString,
            empty_event_pages: false,
            session_order: ListOrder::NewestFirst,
            room_order: ListOrder::NewestFirst,
            template_order: ListOrder::NewestFirst,
            recording_order: ListOrder::NewestFirst,
            event_order: ListOrder::NewestFirst,
            filter_precision: FilterPrecision::Full,
            unknown_entry_fields: false,
            inline_assets: false,
            expired_file: ExpiredFile::NotFound,
            missing_destinations: MissingPart::Absent,
            unknown_destination_kind: false,
            time_filters: TimeFilters::Any,
            event_id_filters: FilterEffect::Narrows,
            event_error_filter: FilterEffect::Narrows,
            has_webhook: true,
            no_webhook: NoWebhook::Empty,
            webhook_order: ListOrder::NewestFirst,
            webhook_pages: WebhookPages::Fixed,
            webhook_attempts: false,
            missing_stats: MissingStats::NotFound,
            nothing: Nothing::EachItsOwn,
            live_streams_with_assets: false,
            external_streams_with_assets: true,
        }
    }

    /// Each alternative on its own, under its name, and at the end all of them together, but for
    /// [`Readings::has_webhook`] and [`Readings::nothing`]: where there is nothing, nothing can be read in two ways.
    pub fn alternatives() -> Vec<(&'static str, Readings)> {
        let single = |name, flip: fn(&mut Readings)| {
            let mut readings = Readings::documented();
            flip(&mut readings);
            (name, readings)
        };
        let mut all: Vec<_> = FLIPS.iter().map(|&(name, flip)| single(name, flip)).collect();
        all.push(single("a workspace without webhook", |r| r.has_webhook = false));
        all.push(single("a workspace without webhook and without history", |r| {
            r.has_webhook = false;
            r.no_webhook = NoWebhook::NotFound;
        }));
        for (name, nothing) in [
            ("nothing is status 204", Nothing::NoContent),
            ("nothing is an empty body", Nothing::EmptyBody),
            ("nothing is null", Nothing::Null),
        ] {
            all.push((name, Readings { nothing, ..Readings::documented() }));
        }
        let mut flipped = Readings::documented();
        FLIPS.iter().for_each(|(_, flip)| flip(&mut flipped));
        all.push(("everything flipped", flipped));
        all
    }

    /// How many ways there are to read something otherwise.
    pub fn flips() -> usize {
        FLIPS.len()
    }

    /// Reads one thing otherwise: the one with that number, below [`Readings::flips`]. Gives its name.
    pub fn flip(&mut self, number: usize) -> &'static str {
        let (name, flip) = FLIPS[number];
        flip(self);
        name
    }
}

type Flip = fn(&mut Readings);

/// Where one question has several alternatives, the last one is what "everything flipped" gets.
const FLIPS: &[(&str, Flip)] = &[
    ("unset filter means both", |r| r.unset_filter = UnsetFilter::Both),
    ("no ended_at", |r| r.ended_at = false),
    ("the end does not move updated_at", |r| r.session_end_moves_updated_at = false),
    ("never edited is a zero time elsewhere", |r| r.never_edited = NeverEdited::ZeroTimeElsewhere),
    ("never edited is 1970", |r| r.never_edited = NeverEdited::Year1970),
    ("never edited is 1900", |r| r.never_edited = NeverEdited::Year1900),
    ("never edited is created_at", |r| r.never_edited = NeverEdited::CreatedAt),
    ("never edited is the edit of the original", |r| r.never_edited = NeverEdited::EditOfTheOriginal),
    ("some were never created", |r| r.all_created = false),
    ("some have never left", |r| r.all_left = false),
    ("some have never left a session without ended_at", |r| (r.all_left, r.ended_at) = (false, false)),
    ("late assets touch the recording", |r| r.late_assets_touch_recording = true),
    ("files before they are finished", |r| r.files_before_finished = true),
    ("peers as array without ids", |r| r.peers = PeersShape::ArrayWithoutIds),
    ("peers as array", |r| r.peers = PeersShape::Array),
    ("templates in snake case", |r| r.template_spelling = Spelling::Snake),
    ("templates in both spellings", |r| r.template_spelling = Spelling::Mixed),
    ("destinations in both spellings", |r| r.destinations_twice = true),
    ("times with nine digits", |r| r.fraction = Fraction::Nano),
    ("times without fraction", |r| r.fraction = Fraction::None),
    ("inactive room is empty", |r| r.inactive_room = InactiveRoom::EmptyPeers),
    ("inactive room is null", |r| r.inactive_room = InactiveRoom::NullPeers),
    ("last is null at the end", |r| r.last_page = LastPage::Null),
    ("last is empty at the end", |r| r.last_page = LastPage::EmptyString),
    ("last is absent at the end", |r| r.last_page = LastPage::Absent),
    ("data is absent at the end", |r| r.empty_page = EmptyPage::NoData),
    ("data is null at the end", |r| r.empty_page = EmptyPage::NullData),
    ("next is null at the end", |r| r.events_end = EventsEnd::Null),
    ("next is absent at the end", |r| r.events_end = EventsEnd::Absent),
    ("empty pages of events", |r| r.empty_event_pages = true),
    ("rooms oldest first", |r| r.room_order = ListOrder::OldestFirst),
    ("rooms shuffled", |r| r.room_order = ListOrder::Shuffled),
    ("templates oldest first", |r| r.template_order = ListOrder::OldestFirst),
    ("templates shuffled", |r| r.template_order = ListOrder::Shuffled),
    ("recordings oldest first", |r| r.recording_order = ListOrder::OldestFirst),
    ("recordings shuffled", |r| r.recording_order = ListOrder::Shuffled),
    ("events oldest first", |r| r.event_order = ListOrder::OldestFirst),
    ("events shuffled", |r| r.event_order = ListOrder::Shuffled),
    ("filters by the second", |r| r.filter_precision = FilterPrecision::Seconds),
    ("assets inside recordings", |r| r.inline_assets = true),
    ("expired file is a bad request", |r| r.expired_file = ExpiredFile::BadRequest),
    ("missing destinations are empty", |r| r.missing_destinations = MissingPart::EmptyObject),
    ("missing destinations are null", |r| r.missing_destinations = MissingPart::Null),
    ("an unknown kind of destination", |r| r.unknown_destination_kind = true),
    ("time filters in milliseconds only", |r| r.time_filters = TimeFilters::Milliseconds),
    ("events: filters by id are ignored", |r| r.event_id_filters = FilterEffect::Ignored),
    ("events: filters by id find nothing", |r| r.event_id_filters = FilterEffect::FindsNothing),
    ("events: the error filter is ignored", |r| r.event_error_filter = FilterEffect::Ignored),
    ("events: the error filter finds nothing", |r| r.event_error_filter = FilterEffect::FindsNothing),
    ("webhooks shuffled", |r| r.webhook_order = ListOrder::Shuffled),
    ("webhooks oldest first", |r| r.webhook_order = ListOrder::OldestFirst),
    ("webhook pages shift", |r| r.webhook_pages = WebhookPages::Shifting),
    ("an entry for each attempt of a webhook", |r| r.webhook_attempts = true),
    ("missing stats are null", |r| r.missing_stats = MissingStats::Null),
    ("missing stats are empty", |r| r.missing_stats = MissingStats::Empty),
    ("assets inside live streams", |r| r.live_streams_with_assets = true),
    ("no assets inside external streams", |r| r.external_streams_with_assets = false),
];
