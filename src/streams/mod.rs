//! The streams: one file each, and what they are made of.
//!
//! | file | what it answers |
//! |---|---|
//! | `stream` | what a stream is, and what stream and engine promise each other |
//! | `slice` | what is left to read, in pieces that a saved state can hold |
//! | `skipped` | items that are not there, or that 100ms refuses to give |
//! | `paged_list` | a list that is paged by id: the whole of a plain stream, but for its columns |
//! | `session` | a session: the people in it and their ids, when it began and ended; which ones are going on |
//! | `template_parents` | a stream below templates: the templates that are read, each asked for its parts |
//! | `files`, `asset`, `file_list`, `file_links` | items that are joined with their files, and links to them |
//! | `recheck` | items that following syncs look at again |
//!
//! A stream knows neither Airbyte nor the user's configuration.

mod asset;
mod file_links;
mod file_list;
mod files;
mod paged_list;
mod recheck;
mod session;
mod skipped;
mod slice;
mod stream;
mod template_parents;

mod active_room_peers;
mod analytics_events;
mod external_streams;
mod live_streams;
mod peer_quality;
mod recording_assets;
mod recordings;
mod rooms;
mod session_peers;
mod sessions;
mod template_settings;
mod templates;
mod templates_destinations;
mod webhook_events;

pub use crate::records::{
    Column, Format, Hashes, MASK, PersonalData, PersonalPlace, RecordError, Remembered, Rows, Timestamp, WrittenHashes,
    keep_on_one_line, mask_text, written_as_object,
};
pub use stream::{
    AnalyticsRooms, DeferredRows, LogLine, Options, PageOutcome, PageStats, SETTLING, Scope, Slice, Stream,
    StreamContext, StreamError, StreamInfo, SyncBounds, Window,
};

/// The streams that are always on offer, in the order of `discover`.
pub static ALL: [StreamInfo; 8] = [
    sessions::INFO,
    rooms::INFO,
    active_room_peers::INFO,
    templates::INFO,
    template_settings::INFO,
    templates_destinations::INFO,
    analytics_events::INFO,
    recordings::INFO,
];

/// The streams that are on offer when the user asks for them.
pub static EXTRA: [StreamInfo; 6] = [
    webhook_events::INFO,
    live_streams::INFO,
    external_streams::INFO,
    peer_quality::INFO,
    session_peers::INFO,
    recording_assets::INFO,
];

/// All streams there are, whether on offer or not.
pub fn every() -> impl Iterator<Item = &'static StreamInfo> {
    ALL.iter().chain(&EXTRA)
}

/// The stream with this name.
pub fn named(name: &str) -> Option<&'static StreamInfo> {
    every().find(|stream| stream.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::Kind;

    #[test]
    fn columns_whose_name_tells_of_a_person_say_so_themselves() {
        let mut undeclared = Vec::new();
        for stream in every() {
            let columns = stream.table.columns.iter().filter(|column| column.kind != Kind::Dropped);
            let told = columns.filter(|column| PersonalPlace::People.below(column.name) == PersonalPlace::Personal);
            let others = told.filter(|column| column.personal != PersonalPlace::Personal);
            undeclared.extend(others.map(|column| format!("{}.{}", stream.name, column.name)));
        }
        // Names of what developers have set up, and what is known of a file.
        assert_eq!(undeclared, ["templates.name", "templates_destinations.name", "recording_assets.metadata"]);
    }

    #[test]
    fn personal_columns_are_texts_that_nothing_hangs_on() {
        for stream in every() {
            let schema = stream.json_schema(serde_json::Map::new());
            let personal = stream.table.columns.iter().filter(|column| column.personal == PersonalPlace::Personal);
            for column in personal.map(|column| column.name) {
                assert_eq!(schema["properties"][column]["type"], json!(["null", "string"]), "{}.{column}", stream.name);
                let is_key = stream.primary_key.contains(&column) || stream.cursor == Some(column);
                assert!(!is_key, "{}.{column} identifies a record", stream.name);
            }
        }
    }
}
