//! `peer_quality`: how good the call was for each person, track by track.
//!
//! - **Source:** `/v2/sessions?active=true` names the sessions that are going on, whose ends a later sync must not miss,
//!   and `active=false` those that have ended, with their peers; then `/v2/analytics/peer-stats` for each peer of each
//!   session that has ended since the cursor, which is a request a peer.
//! - **Cursor:** `session_ended_at`: measurements exist once the session has ended, and do not change.
//! - **Key:** a track of a person in a session, each simulcast layer (`rid`) by itself. Keys must not be null,
//!   so a track without an id or a layer has an empty one.
//! - **Open in the reference:** what a peer without measurements answers: 404 and empty lists both mean none.
//! - **On request:** part of `extra_streams` in the configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::session::{ACTIVE, LiveSessions, PHASES, Session, slice_of};
use super::stream::{
    DeferredRows, LogLine, PageOutcome, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo, nothing,
    together,
};
use crate::api::{Endpoint, Get, Keyed, Raw, members_of};
use crate::records::Kind::{Integer, Number, Object, Text, Time};
use crate::records::{
    Column, Fields, PersonalData, Record, RecordError, Rows, Table, Times, Timestamp, Value, column, number,
};

static TABLE: Table = Table { description: "How good one track of one person was in a session.", columns: COLUMNS };

/// The columns: those of the track, and four for each measure.
macro_rules! columns {
    ($($measure:literal $what:literal,)*) => {
        &[
            column("session_id", Text, "The session."),
            column("peer_id", Text, "The person in it."),
            column("room_id", Text, "The room."),
            column("direction", Text, "`publish` for what the person sent, `subscribe` for what they received."),
            column("kind", Text, "`video` or `audio`."),
            column("track_id", Text, "The track; empty when 100ms does not name it."),
            column("type", Text, "What the track shows: camera, microphone, screen and others."),
            column("rid", Text, "The simulcast layer, `h`, `m` or `l`; empty when there are no layers."),
            column("session_ended_at", Time, "When the session ended. The cursor of this stream."),
            column("started_at", Time, "The time of the first measurement."),
            column("stopped_at", Time, "The time of the last measurement."),
            column("samples", Integer, "How many measurements there are."),
            $(
                column(concat!($measure, "_mean"), Number, concat!($what, ": the mean.")),
                column(concat!($measure, "_min"), Number, concat!($what, ": the smallest.")),
                column(concat!($measure, "_max"), Number, concat!($what, ": the largest.")),
                column(concat!($measure, "_p95"), Number, concat!($what, ": the 95th percentile.")),
            )*
            column(
                "time_series",
                Object,
                "All measurements: a list of times in milliseconds and a list of values for each measure.",
            ),
        ]
    };
}

const COLUMNS: &[Column] = columns! {
    "bitrate" "Bits per second",
    "fps" "Frames per second",
    "packet_loss_percent" "Packets lost, in per cent",
    "rtt_ms" "Round trip, in milliseconds",
    "jitter_ms" "Jitter, in milliseconds",
    "freeze_count" "Freezes of the picture",
    "concealed_samples" "Audio samples that had to be made up",
};

/// The first column of the measures.
const FIRST_MEASURE: usize = 12;

pub(super) const INFO: StreamInfo = StreamInfo {
    primary_key: &["session_id", "peer_id", "direction", "kind", "track_id", "rid"],
    cursor: Some("session_ended_at"),
    memory: LiveSessions::MEMORY,
    sample: nothing,
    ..StreamInfo::new("peer_quality", &TABLE, &[Endpoint::SESSIONS, Endpoint::PEER_STATS], PHASES, |context| {
        let (live, skipped) = (LiveSessions::new(&context), Skipped::new("people's measurements"));
        Arc::new(PeerQuality { context, live, skipped, without_id: AtomicU64::new(0) })
    })
};

/// Ended sessions per page: a sync that is cut asks again for the measurements of the pages it was at.
const SESSIONS_PER_PAGE: u64 = 10;
/// So many people of a page may be asked for at once: as many as there can be workers.
const AT_ONCE: usize = 50;
/// The measurements of so many people are written together: those of a whole page may be large.
const PEOPLE_PER_PART: usize = 10;

struct PeerQuality {
    context: StreamContext,
    live: LiveSessions,
    skipped: Skipped,
    /// How many of the people have no id at 100ms.
    without_id: AtomicU64,
}

impl Stream for PeerQuality {
    fn begin(&self, phase: &'static str) -> Option<Slice> {
        Some(slice_of(&self.context, phase))
    }

    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            let is_active = slice.phase == ACTIVE;
            let limit = Some(SESSIONS_PER_PAGE).filter(|_| !is_active);
            let get = Get { limit, ..slice.page_of(Endpoint::SESSIONS, Some(is_active)) };
            let shape = |page: Vec<Fields<'_>>| {
                page.iter().map(|session| Ended::of(session, &self.context.format.personal)).collect()
            };
            let (mut due, rest): (Vec<Ended>, _) = self.context.page(&slice, get, shape).await?;
            due.retain_mut(|session| {
                let due = self.live.due(&self.context, &session.id, session.times);
                session.times = due.unwrap_or(session.times);
                due.is_some() && !is_active
            });
            self.without_id.fetch_add(due.iter().map(|session| session.without_id).sum(), Ordering::Relaxed);
            Ok(PageOutcome { rest, later: Some(self.measure(due)), ..PageOutcome::default() })
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        vec![&self.skipped]
    }

    fn remember(&self, is_finished: bool) -> Map<String, Json> {
        self.live.remember(&self.context, is_finished)
    }

    fn log_lines(&self) -> Vec<LogLine> {
        let mut lines = self.skipped.log_lines();
        let without_id = self.without_id.load(Ordering::Relaxed);
        if without_id > 0 {
            lines.push(LogLine::Warning(format!(
                "100ms gives no id for {without_id} of the people whose measurements were requested, so they were \
                 requested under the ids that `sessions` has for them, which 100ms may not know."
            )));
        }
        lines
    }
}

impl PeerQuality {
    /// The measurements of everybody in these sessions.
    fn measure(self: Arc<Self>, sessions: Vec<Ended>) -> DeferredRows {
        let people = sessions.into_iter().flat_map(|session| {
            let session = Arc::new(session);
            (0..session.peers.len()).map(move |number| (Arc::clone(&session), number))
        });
        let ask = move |(session, number): (Arc<Ended>, usize)| {
            let stream = Arc::clone(&self);
            async move { stream.rows_of(&session, &session.peers[number]).await }
        };
        let answers = stream::iter(people).map(ask).buffer_unordered(AT_ONCE);
        let parts = answers.chunks(PEOPLE_PER_PART);
        parts.map(|part| part.into_iter().collect::<Result<Vec<_>, _>>().map(together)).boxed()
    }

    async fn rows_of(&self, session: &Ended, peer: &str) -> Result<Rows, StreamError> {
        let shape = |stats: Fields<'_>| self.rows_in(&stats, session, peer);
        let get = Get::new(Endpoint::PEER_STATS).with("session_id", [&session.id]).with("peer_id", [peer]);
        let stats = self.context.client.one::<Fields<'static>, _>(get, shape).await;
        let item = format!("session_id={}&peer_id={peer}", session.id);
        self.skipped.note(&item, stats)?.unwrap_or_else(|| Ok(Rows::default()))
    }

    fn rows_in(&self, stats: &Fields<'_>, session: &Ended, peer: &str) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for (direction, side) in [("publish", "publisher"), ("subscribe", "subscriber")] {
            let side = match stats.get(side) {
                None => Fields::default(),
                Some(side) => Fields::of(side)
                    .ok_or_else(|| RecordError::new(Some(peer), direction, "is not an object of tracks"))?,
            };
            for kind in ["video", "audio"] {
                let tracks: Keyed<'_, Fields<'_>> = members_of(side.get(kind))
                    .map_err(|_| RecordError::new(Some(peer), "tracks", "is not a list of tracks"))?;
                for (_, track) in tracks {
                    let record = record_of(session, peer, direction, kind, &track);
                    rows.push(&self.context.format, &record, Some(session.times));
                }
            }
        }
        Ok(rows)
    }
}

/// A session, and who was in it.
struct Ended {
    id: String,
    room: Option<String>,
    /// The cursor is its end, once it has ended. 100ms may say that it is over long after the last person has left.
    times: Times,
    peers: Vec<String>,
    /// How many of them have no id at 100ms.
    without_id: u64,
}

impl Ended {
    fn of(session: &Fields<'_>, personal: &PersonalData) -> Result<Self, RecordError> {
        let Session { id, room, people, without_id, times, stopped_at, .. } = Session::of(session, personal)?;
        Ok(Self {
            id: id.into_owned(),
            room: room.map(String::from),
            times: Times { cursor: stopped_at.unwrap_or(times.changed), ..times },
            peers: people.into_iter().map(|person| person.id.into_owned()).collect(),
            without_id,
        })
    }
}

fn record_of<'a>(
    session: &'a Ended,
    peer: &'a str,
    direction: &'static str,
    kind: &'static str,
    track: &Fields<'a>,
) -> Record<'a> {
    let time_series = track.get("time_series");
    // Each measure is read by itself: one that is odd says nothing about the others.
    let series: Keyed<'a, &'a RawValue> = members_of(time_series).unwrap_or_default();
    let measure = |name: &str| series.iter().find(|(key, _)| key.as_deref() == Some(name)).map(|(_, raw)| *raw);
    let timestamps = measure("timestamps").map(numbers).unwrap_or_default();
    let at = |time: Option<f64>| time.map(|time| Timestamp::from_micros((time * 1000.0) as i64));
    let mut record = Record::new(&TABLE)
        .with("session_id", session.id.as_str())
        .with("peer_id", peer)
        .with("room_id", session.room.as_deref())
        .with("direction", direction)
        .with("kind", kind)
        .with("track_id", track.text("track_id").unwrap_or_default())
        .with("type", track.get("type"))
        .with("rid", track.text("rid").unwrap_or_default())
        .with("session_ended_at", session.times.cursor)
        .with("started_at", at(timestamps.first().copied().flatten()))
        .with("stopped_at", at(timestamps.last().copied().flatten()))
        .with("samples", Value::Count(timestamps.len() as u64))
        .with("time_series", time_series);
    for columns in COLUMNS[FIRST_MEASURE..].chunks_exact(4) {
        let values = summary(measure(columns[0].name.trim_end_matches("_mean")));
        columns.iter().zip(values).for_each(|(column, value)| record.set(column.name, value));
    }
    record
}

/// The items of a list; anything else is the only item of one, as in every column of lists.
fn items(json: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(json.get()).unwrap_or_else(|_| vec![json])
}

/// The numbers of a list, also those that are written as texts, and `None` for its other items.
fn numbers(json: &RawValue) -> Vec<Option<f64>> {
    // Nearly always there are only numbers and nulls.
    let plain = serde_json::from_str(json.get());
    plain.unwrap_or_else(|_| items(json).into_iter().map(|item| number(item)?.as_f64()).collect())
}

/// Mean, smallest, largest and 95th percentile by nearest rank: the smallest value with at least 95 % of the
/// values at or below it. Nulls are left out; of nothing, nothing can be said. Columns that are empty although
/// something was measured say so.
fn summary(measured: Raw<'_>) -> [Value<'_>; 4] {
    let mut values: Vec<f64> = measured.map(numbers).unwrap_or_default().into_iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 95).div_ceil(100);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let p95 = rank.checked_sub(1).and_then(|index| values.get(index)).copied();
    let is_odd = |json: &RawValue| values.is_empty() && items(json).iter().any(|item| item.get() != "null");
    let none = if measured.is_some_and(is_odd) { Value::Lost } else { Value::Null };
    [Some(mean).filter(|mean| mean.is_finite()), values.first().copied(), values.last().copied(), p95]
        .map(|value| value.map_or(none.clone(), Value::Number))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::records::record::to_value;

    #[test]
    fn measures_are_summarised_without_their_nulls() {
        let json = r#"{"time_series":{"timestamps":[1714557600000,1714557610000],"rtt_ms":[null,30.5,10],"fps":[]}}"#;
        let track: Fields<'_> = serde_json::from_str(json).unwrap();
        let session =
            r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","ended_at":"2024-05-01T11:00:00Z","peers":{"p":{}}}"#;
        let session = Ended::of(&serde_json::from_str(session).unwrap(), &PersonalData::Keep).unwrap();
        assert_eq!(session.peers, ["p"]);
        let record = to_value(&record_of(&session, "p", "publish", "video", &track));
        assert_eq!((&record["rtt_ms_mean"], &record["rtt_ms_min"]), (&20.25.into(), &10.0.into()));
        assert_eq!((&record["rtt_ms_max"], &record["rtt_ms_p95"]), (&30.5.into(), &30.5.into()));
        assert_eq!((&record["fps_mean"], &record["bitrate_max"]), (&Json::Null, &Json::Null));
        assert_eq!((&record["rid"], &record["track_id"]), (&"".into(), &"".into()));
        assert_eq!((&record["samples"], &record["stopped_at"]), (&2.into(), &"2024-05-01T10:00:10.000000Z".into()));
        assert_eq!(record["session_ended_at"], "2024-05-01T11:00:00.000000Z");
    }

    #[test]
    fn an_odd_measure_says_nothing_about_the_others() {
        let json = r#"{"time_series":{"timestamps":["1714557600000",1714557610000.0],"rtt_ms":["30.5",null,10,"n/a"],
            "fps":null,"codec":"opus","bitrate":"12","jitter_ms":"many","freeze_count":[null],"\ud800":[1]}}"#;
        let track: Fields<'_> = serde_json::from_str(json).unwrap();
        let session = r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":{"p":{}}}"#;
        let session = Ended::of(&serde_json::from_str(session).unwrap(), &PersonalData::Keep).unwrap();
        let record = record_of(&session, "p", "publish", "video", &track);
        let is_lost = |name: &str| {
            let mut json = crate::records::value::Json::default();
            record.write(COLUMNS.iter().position(|column| column.name == name).unwrap(), &mut json);
            json.is_lossy
        };
        assert!(is_lost("jitter_ms_mean") && !is_lost("freeze_count_mean"));
        let record = to_value(&record);
        assert_eq!((&record["rtt_ms_mean"], &record["rtt_ms_p95"]), (&20.25.into(), &30.5.into()));
        assert_eq!((&record["fps_mean"], &record["jitter_ms_mean"]), (&Json::Null, &Json::Null));
        assert_eq!((&record["bitrate_min"], &record["samples"]), (&12.0.into(), &2.into()));
        assert_eq!(record["started_at"], "2024-05-01T10:00:00.000000Z");
        assert_eq!(record["stopped_at"], "2024-05-01T10:00:10.000000Z");
    }

    #[test]
    fn a_session_is_due_when_100ms_says_that_it_is_over() {
        let times = |fields: &str| {
            let json = format!(
                r#"{{"id":"s","created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T12:00:00Z"{fields}}}"#
            );
            let times = Ended::of(&serde_json::from_str(&json).unwrap(), &PersonalData::Keep).unwrap().times;
            [times.cursor, times.changed, times.recheck_until].map(|time| time.to_string()[11..16].to_owned())
        };
        assert_eq!(times(r#","ended_at":"2024-05-01T11:00:00Z""#), ["11:00", "12:00", "12:00"]);
        assert_eq!(times(r#","peers":[{"left_at":"2024-05-01T10:30:00Z"}]"#), ["10:30", "12:00", "23:00"]);
        assert_eq!(times(r#","peers":[{"left_at":"2024-05-01T10:30:00Z"},{}]"#), ["12:00", "12:00", "23:00"]);
    }

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        let p95 = |count: u32| {
            let json = Json::from((1..=count).collect::<Vec<_>>()).to_string();
            match summary(serde_json::from_str(&json).unwrap())[3] {
                Value::Number(p95) => Some(p95),
                _ => None,
            }
        };
        assert_eq!((p95(0), p95(1), p95(19), p95(20), p95(100)), (None, Some(1.0), Some(19.0), Some(19.0), Some(95.0)));
    }
}
