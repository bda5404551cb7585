//! The streams: one file each, and what they are made of.
//!
//! | file | what it answers |
//! |---|---|
//! | `contract` | what a stream is, and what stream and engine promise each other |
//! | `slice` | what is left to read, in pieces that a saved state can hold |
//! | `record` | columns that are declared once, and rows of finished bytes |
//! | `values`, `write` | the types of columns: what goes out for whatever comes in |
//! | `secrets` | what never leaves the connector |
//! | `personal` | what is about people, which leaves it as the user chooses |
//! | `walk`, `spelling` | a value that is rewritten on its way, and the names in it in any spelling |
//! | `strings` | texts that every reader of JSON accepts |
//! | `schema` | the schemas of records, and fields that the API has added |
//! | `time` | times in all their spellings |
//! | `gaps` | parts that 100ms refuses to give |
//! | `session` | the people in a session, and their ids |
//! | `with_files`, `template_parents` | what several streams have in common |
//!
//! A stream knows neither Airbyte nor the user's configuration.

mod contract;
mod gaps;
mod personal;
mod record;
mod schema;
mod secrets;
mod session;
mod slice;
mod spelling;
mod strings;
mod template_parents;
mod time;
mod values;
mod walk;
mod with_files;
mod write;

mod active_room_peers;
mod analytics_events;
mod external_streams;
mod live_streams;
mod peer_quality;
mod recordings;
mod rooms;
mod sessions;
mod template_settings;
mod templates;
mod templates_destinations;
mod webhook_events;

pub use contract::{
    Description, EventRooms, Hashes, Later, Opened, Options, Reading, RecordError, Remark, Remembered, SETTLING, Seen,
    Since, Step, StreamError, Written,
};
pub use personal::{PersonalData, Salt};
pub use record::{Format, Rows};
pub use secrets::{MASK, mask_text};
pub use slice::{Scope, Slice, Window};
pub use time::Timestamp;
pub use values::{keep_on_one_line, written_as_object};

/// The streams that are always on offer, in the order of `discover`.
pub static ALL: [Description; 8] = [
    Description::of::<sessions::Sessions>(),
    Description::of::<rooms::Rooms>(),
    Description::of::<active_room_peers::ActiveRoomPeers>(),
    Description::of::<templates::Templates>(),
    Description::of::<template_settings::TemplateSettings>(),
    Description::of::<templates_destinations::TemplatesDestinations>(),
    Description::of::<analytics_events::AnalyticsEvents>(),
    Description::of::<with_files::FilesOf<recordings::Recordings>>(),
];

/// The streams that are on offer when the user asks for them.
pub static EXTRA: [Description; 4] = [
    Description::of::<webhook_events::WebhookEvents>(),
    Description::of::<with_files::FilesOf<live_streams::LiveStreams>>(),
    Description::of::<with_files::FilesOf<external_streams::ExternalStreams>>(),
    Description::of::<peer_quality::PeerQuality>(),
];

/// All streams there are, whether on offer or not.
pub fn every() -> impl Iterator<Item = &'static Description> {
    ALL.iter().chain(&EXTRA)
}

/// The stream with this name.
pub fn named(name: &str) -> Option<&'static Description> {
    every().find(|description| description.name == name)
}
