//! What becomes of the output: a runner that keeps states, and a destination with a table for each stream.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use fake_100ms::{Truth, is_same};
use serde_json::{Map, Value, json};

use crate::messages::{Level, Message, Transcript};
use crate::plan::{Chosen, Destination, Plan};

type Rows = BTreeMap<String, Map<String, Value>>;

/// Runner and destination of one connection.
#[derive(Default)]
pub struct Platform {
    pub states: BTreeMap<String, Value>,
    tables: BTreeMap<String, Table>,
}

#[derive(Default)]
struct Table {
    rows: Rows,
    /// Of a full refresh that has not come to its end.
    staged: Option<Rows>,
}

/// RFC 7396.
fn merge(kept: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return *kept = patch.clone() };
    let mut merged = kept.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        match value {
            Value::Null => drop(merged.remove(key)),
            value => merge(merged.entry(key).or_insert(Value::Null), value),
        }
    }
    *kept = merged.into();
}

impl Platform {
    /// What the next sync is given as its state.
    pub fn handed_back(&self) -> Value {
        let entry = |(name, state): (&String, &Value)| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}});
        Value::Array(self.states.iter().map(entry).collect())
    }

    /// Takes what a sync has written; `is_well` when it came to its end without an error.
    pub fn load(&mut self, plan: &Plan, transcript: &Transcript, is_well: bool) {
        for (name, table) in &mut self.tables {
            // What is neither gone on with nor left out is read anew.
            let goes_on = self.states.get(name).is_some_and(|state| state["resume"].is_object());
            if !goes_on && !is_left_out(transcript, name) {
                table.staged = None;
            }
        }
        let mut tails: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for message in &transcript.messages {
            match message {
                Message::Record { record } => {
                    tails.entry(&record.stream).or_default().push((record.key(), &record.data));
                }
                Message::State { state } => {
                    let name = state.stream.stream_descriptor.name.as_str();
                    self.commit(plan, name, tails.remove(name).unwrap_or_default());
                    let new = Value::Object(state.stream.stream_state.clone());
                    match plan.runner.merges {
                        true => merge(self.states.entry(name.to_owned()).or_default(), &new),
                        false => drop(self.states.insert(name.to_owned(), new)),
                    }
                }
                _ => {}
            }
        }
        if plan.runner.keeps_tail {
            for (name, rows) in tails {
                self.commit(plan, name, rows);
            }
        }
        if is_well {
            self.end_generation(plan);
        }
    }

    fn commit(&mut self, plan: &Plan, name: &str, rows: Vec<(String, &Map<String, Value>)>) {
        let chosen = plan.streams.iter().find(|chosen| chosen.name == name).expect("a stream that was asked for");
        let cursor = source_100ms::streams::named(name).and_then(|description| description.cursor);
        let table = self.tables.entry(name.to_owned()).or_default();
        let into = match chosen.destination {
            Destination::Overwrite => table.staged.get_or_insert_default(),
            _ => &mut table.rows,
        };
        for (key, row) in rows {
            let is_older =
                |former: &Map<String, Value>| cursor.is_some_and(|at| row[at].as_str() < former[at].as_str());
            if chosen.destination != Destination::Dedup || !into.get(&key).is_some_and(is_older) {
                into.insert(key, row.clone());
            }
        }
    }

    /// A full refresh has come to its end: what it read takes the place of what was there.
    fn end_generation(&mut self, plan: &Plan) {
        for chosen in plan.streams.iter().filter(|chosen| chosen.is_full) {
            let table = self.tables.entry(chosen.name.to_owned()).or_default();
            if chosen.destination == Destination::Overwrite {
                table.rows = table.staged.take().unwrap_or_default();
            }
            if !plan.runner.keeps_full {
                self.states.remove(chosen.name);
            }
        }
    }

    /// Compares with what a correct connector has written by now; gives what is wrong.
    pub fn differences(&self, plan: &Plan, chosen: &Chosen, truth: &Truth, all: &Truth, due: Due) -> Vec<String> {
        let (name, empty) = (chosen.name, Rows::new());
        let rows = self.tables.get(name).map_or(&empty, |table| &table.rows);
        let mut wrong = Vec::new();
        let types = plan.config["analytics_event_types"].as_array();
        let is_wanted =
            |row: &Value| name != "analytics_events" || types.is_none_or(|types| types.contains(&row["type"]));
        for (key, expected) in truth.streams[name].iter().filter(|(_, row)| is_wanted(row)) {
            match rows.get(key) {
                _ if due == Due::Nothing => {}
                None if due == Due::Moves && expected["source"] == "analytics" => {}
                None if due == Due::OfSessions
                    && expected["source"] == "analytics"
                    && !is_of_a_session_then(&all.streams["sessions"], expected) => {}
                None => wrong.push(format!("{name}: `{key}` is missing: {expected}")),
                Some(row) => wrong.extend(different(plan, chosen, key, row, expected)),
            }
        }
        // Events leave 100ms after 30 days, and what is live or inside of a template goes when it goes.
        let may_vanish =
            ["analytics_events", "webhook_events", "active_room_peers", "templates_destinations"].contains(&name);
        if !may_vanish || chosen.destination == Destination::Overwrite && !name.ends_with("_events") {
            let invented = rows.keys().filter(|key| !all.streams[name].contains_key(*key));
            wrong.extend(invented.map(|key| format!("{name}: 100ms has no `{key}`")));
        }
        wrong
    }
}

/// Which rows must be there and right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Due {
    All,
    /// Not even what there is: some was refused for good, and this was told.
    Nothing,
    /// Those that happened during a session: the others are found once a day, or never.
    OfSessions,
    /// Who joined and left: where the filters of events do not work, all others are found once a day, or never.
    Moves,
}

fn is_of_a_session_then(sessions: &BTreeMap<String, Value>, event: &Value) -> bool {
    let session = event["session_id"].as_str().and_then(|id| sessions.get(id));
    let time = event["created_at"].as_str();
    session.is_some_and(|session| {
        // An event that was told late may be older than the session that it names.
        let has_ended = session["active"] != true && session["stopped_at"].as_str() < time;
        session["created_at"].as_str() <= time && !has_ended
    })
}

fn different(plan: &Plan, chosen: &Chosen, key: &str, row: &Map<String, Value>, expected: &Value) -> Vec<String> {
    let expected = expected.as_object().expect("a record");
    let of_this = fake_100ms::streams().iter().find(|stream| stream.name == chosen.name);
    let personal = &of_this.expect("a stream of the table").personal;
    let is_chosen = |column: &str| chosen.columns.as_ref().is_none_or(|columns| columns.contains(&column));
    let mut wrong = Vec::new();
    for (column, value) in expected.iter().filter(|(column, _)| is_chosen(column)) {
        let value = match column.as_str() {
            "url" if plan.config["recording_urls"] == "none" => &Value::Null,
            _ => value,
        };
        // What is personal is no longer what it was, and may stand anywhere inside of lists and objects.
        let may_be_hidden = value.is_object() || value.is_array() || personal.iter().any(|name| name == column);
        let is_hidden = plan.config["personal_data"] != "keep" && may_be_hidden;
        // A join was written with what was known of the peer then.
        let is_join = column == "data" && expected["type"] == "peer.join";
        let known = |value: &Value| {
            let mut value = value.clone();
            value.as_object_mut().filter(|_| is_join).map(|peer| peer.remove("left_at"));
            value
        };
        let found = row.get(column);
        if !found.is_some_and(|found| is_hidden || is_same(&known(found), &known(value))) {
            wrong.push(format!("{} `{key}`: {column} is {found:?} instead of {value}", chosen.name));
        }
    }
    if row.keys().filter(|column| is_chosen(column)).count() != row.len() {
        wrong.push(format!("{} `{key}` has a column that was not chosen", chosen.name));
    }
    wrong
}

/// Whether the stream says that an earlier attempt of the same full refresh has read it.
pub fn is_left_out(transcript: &Transcript, name: &str) -> bool {
    let sentence = format!("An earlier attempt has already read all of `{name}`.");
    transcript.logs(Level::Info).contains(&sentence.as_str())
}

/// Where the rows of a stream are asked for one by one, which can be refused for good.
pub fn items_of(name: &str) -> &'static [&'static str] {
    match name {
        "active_room_peers" => &["/v2/active-rooms/"],
        "templates" | "template_settings" | "templates_destinations" => &["/v2/templates/"],
        "analytics_events" => &["/v2/analytics/events"],
        "peer_quality" => &["/v2/analytics/peer-stats"],
        "recordings" => &["/v2/recordings/", "/v2/recording-assets/"],
        "recording_assets" => &["/v2/recording-assets/"],
        "live_streams" => &["/v2/live-streams/", "/v2/recording-assets/"],
        "external_streams" => &["/v2/external-streams/", "/v2/recording-assets/"],
        _ => &[],
    }
}

/// Whether rows of the stream may be missing for good: a WARN names them, or 100ms said that they are not there.
pub fn has_gaps(transcript: &Transcript, refused: &[(String, u16)], name: &str) -> bool {
    let of_stream = |text: &str| items_of(name).iter().any(|item| text.contains(item));
    let says_nothing = |(path, status): &(String, u16)| [404, 410].contains(status) && of_stream(path);
    let is_told = |warning: &&str| warning.contains("missing in this sync") && of_stream(warning);
    transcript.logs(Level::Warn).iter().any(is_told) || refused.iter().any(says_nothing)
}

/// The catalog of a plan, and its configuration.
pub fn catalog(plan: &Plan) -> Value {
    let stream = |chosen: &Chosen| {
        let columns = chosen.columns.iter().flatten().map(|column| ((*column).to_owned(), json!({})));
        json!({
            "stream": {"name": chosen.name, "json_schema": {"properties": columns.collect::<Map<_, _>>()}},
            "sync_mode": if chosen.is_full { "full_refresh" } else { "incremental" },
            "destination_sync_mode": "append",
        })
    };
    json!({"streams": plan.streams.iter().map(stream).collect::<Vec<_>>()})
}

pub fn written(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
