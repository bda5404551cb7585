//! The streams: one file each, and what they are made of.
//!
//! | file | what it answers |
//! |---|---|
//! | `contract` | what a stream is, and what stream and engine promise each other |
//! | `slice` | what is left to read, in pieces that a saved state can hold |
//! | `record` | columns that are declared once, and rows of finished bytes |
//! | `values` | the types of columns: what goes out for whatever comes in |
//! | `secrets` | what never leaves the connector |
//! | `schema` | the schemas of records, and fields that the API has added |
//! | `time` | times in all their spellings |
//! | `gaps` | parts that 100ms refuses to give |
//! | `with_files`, `template_parents` | what several streams have in common |
//!
//! A stream knows neither Airbyte nor the user's configuration.

mod contract;
mod gaps;
mod record;
mod schema;
mod secrets;
mod slice;
mod strings;
mod template_parents;
mod time;
mod values;
mod with_files;

mod active_room_peers;
mod analytics_events;
mod recordings;
mod rooms;
mod sessions;
mod template_settings;
mod templates;
mod templates_destinations;

pub use contract::{
    Description, EventRooms, Opened, Options, Reading, RecordError, SETTLING, Seen, Since, Step, StreamError, Written,
};
pub use record::{Format, Rows};
pub use secrets::{MASK, mask_text};
pub use slice::{Scope, Slice, Window};
pub use time::Timestamp;
pub use values::keep_on_one_line;

/// The streams, in the order of `discover`.
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
