//! `peer_quality`: how good the call was for each person, track by track.
//!
//! - **Source:** `/v2/sessions?active=false` names the sessions and their peers; then
//!   `/v2/analytics/peer-stats` for each peer of each session that has ended since the cursor, which is a
//!   request a peer. How many there will be is counted first and said in the log.
//! - **Cursor:** `session_ended_at`: measurements exist once the session has ended, and do not change.
//! - **Key:** a track of a person in a session, each simulcast layer (`rid`) by itself. Keys must not be null,
//!   so a track without an id or a layer has an empty one.
//! - **Open in the reference:** what a peer without measurements answers: 404 and empty lists both mean none.
//! - **On request:** part of `extra_streams` in the configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contract::{Later, Reading, RecordError, Remark, Step, Stream, StreamError, Times};
use super::gaps::{Gaps, OF_THIS_ONE};
use super::personal::PersonalData;
use super::record::{Computed, Derived, Label, Rows, id, record, times};
use super::session::{PeerEntry, People};
use super::slice::Slice;
use super::time::{Time, Timestamp};
use super::values::{Object, Text, number, text};
use crate::api::{ApiError, Client, Keyed, List, ListFilter, Members, Raw};

record! {
    /// How good one track of one person was in a session.
    PeerQualityRecord {
        /// The session.
        session_id: Computed<Label<'a>>,
        /// The person in it.
        peer_id: Computed<Label<'a>>,
        /// The room.
        room_id: Computed<Label<'a>>,
        /// `publish` for what the person sent, `subscribe` for what they received.
        direction: Computed<&'static str>,
        /// `video` or `audio`.
        kind: Computed<&'static str>,
        /// The track; empty when 100ms does not name it.
        track_id: Computed<Label<'a>>,
        /// What the track shows: camera, microphone, screen and others.
        r#type: Text<'a>,
        /// The simulcast layer, `h`, `m` or `l`; empty when there are no layers.
        rid: Computed<Label<'a>>,
        /// When the session ended. The cursor of this stream.
        session_ended_at: Computed<Timestamp>,
        /// The time of the first measurement.
        started_at: Computed<Timestamp>,
        /// The time of the last measurement.
        stopped_at: Computed<Timestamp>,
        /// How many measurements there are.
        samples: Computed<u64>,
        /// Bits per second: the mean.
        bitrate_mean: Derived<'a, f64>,
        /// Bits per second: the smallest.
        bitrate_min: Derived<'a, f64>,
        /// Bits per second: the largest.
        bitrate_max: Derived<'a, f64>,
        /// Bits per second: the 95th percentile.
        bitrate_p95: Derived<'a, f64>,
        /// Frames per second: the mean.
        fps_mean: Derived<'a, f64>,
        /// Frames per second: the smallest.
        fps_min: Derived<'a, f64>,
        /// Frames per second: the largest.
        fps_max: Derived<'a, f64>,
        /// Frames per second: the 95th percentile.
        fps_p95: Derived<'a, f64>,
        /// Packets lost, in per cent: the mean.
        packet_loss_percent_mean: Derived<'a, f64>,
        /// Packets lost, in per cent: the smallest.
        packet_loss_percent_min: Derived<'a, f64>,
        /// Packets lost, in per cent: the largest.
        packet_loss_percent_max: Derived<'a, f64>,
        /// Packets lost, in per cent: the 95th percentile.
        packet_loss_percent_p95: Derived<'a, f64>,
        /// Round trip, in milliseconds: the mean.
        rtt_ms_mean: Derived<'a, f64>,
        /// Round trip, in milliseconds: the smallest.
        rtt_ms_min: Derived<'a, f64>,
        /// Round trip, in milliseconds: the largest.
        rtt_ms_max: Derived<'a, f64>,
        /// Round trip, in milliseconds: the 95th percentile.
        rtt_ms_p95: Derived<'a, f64>,
        /// Jitter, in milliseconds: the mean.
        jitter_ms_mean: Derived<'a, f64>,
        /// Jitter, in milliseconds: the smallest.
        jitter_ms_min: Derived<'a, f64>,
        /// Jitter, in milliseconds: the largest.
        jitter_ms_max: Derived<'a, f64>,
        /// Jitter, in milliseconds: the 95th percentile.
        jitter_ms_p95: Derived<'a, f64>,
        /// Freezes of the picture: the mean.
        freeze_count_mean: Derived<'a, f64>,
        /// Freezes of the picture: the smallest.
        freeze_count_min: Derived<'a, f64>,
        /// Freezes of the picture: the largest.
        freeze_count_max: Derived<'a, f64>,
        /// Freezes of the picture: the 95th percentile.
        freeze_count_p95: Derived<'a, f64>,
        /// Audio samples that had to be made up: the mean.
        concealed_samples_mean: Derived<'a, f64>,
        /// Audio samples that had to be made up: the smallest.
        concealed_samples_min: Derived<'a, f64>,
        /// Audio samples that had to be made up: the largest.
        concealed_samples_max: Derived<'a, f64>,
        /// Audio samples that had to be made up: the 95th percentile.
        concealed_samples_p95: Derived<'a, f64>,
        /// All measurements: a list of times in milliseconds and a list of values for each measure.
        time_series: Object<'a>,
    }
}

record! {
    /// A track as 100ms has it.
    Track {
        track_id: Text<'a>,
        r#type: Text<'a>,
        rid: Text<'a>,
        time_series: Object<'a>,
    }
}

record! {
    /// The measurements of a peer.
    PeerStats {
        publisher: Derived<'a, ()>,
        subscriber: Derived<'a, ()>,
    }
}

record! {
    /// One side of a peer's measurements.
    Side {
        video: Derived<'a, ()>,
        audio: Derived<'a, ()>,
    }
}

record! {
    /// What is read of a session.
    EndedSession {
        id: Text<'a> = "id" | "_id",
        room_id: Text<'a>,
        created_at: Time,
        updated_at: Time,
        ended_at: Time,
        peers: Derived<'a, ()>,
    }
}

/// Sessions are counted, then measured.
const COUNTED: &str = "counted";
const ENDED: &str = "ended";

/// A session's longest life, 12 h, and an hour for clocks and late writes.
const LOOK_BACK: TimeDelta = TimeDelta::hours(13);
/// Sessions a page: a sync that is cut asks again for the measurements of the pages it was at.
const SESSIONS_PER_PAGE: u64 = 10;
/// So many people of a page may be asked for at once: as many as there can be workers.
const AT_ONCE: usize = 50;
/// The measurements of so many people are written together: those of a whole page may be large.
const PEOPLE_PER_PART: usize = 10;

/// The stream.
pub(super) struct PeerQuality {
    reading: Reading,
    refused: Gaps,
    has_begun_to_count: AtomicBool,
    peers: AtomicU64,
    /// How many of them have no id at 100ms.
    without_id: AtomicU64,
}

impl Stream for PeerQuality {
    const NAME: &'static str = "peer_quality";
    const PRIMARY_KEY: &'static [&'static str] = &["session_id", "peer_id", "direction", "kind", "track_id", "rid"];
    const CURSOR: Option<&'static str> = Some("session_ended_at");
    const LISTS: &'static [&'static str] = &[COUNTED, ENDED];
    type Record = PeerQualityRecord<'static>;

    fn open(reading: Reading) -> Self {
        Self {
            reading,
            refused: Gaps::new("people's measurements"),
            has_begun_to_count: AtomicBool::new(false),
            peers: AtomicU64::new(0),
            without_id: AtomicU64::new(0),
        }
    }

    fn list(&self, list: &'static str) -> Option<Slice> {
        if list == ENDED {
            let peers = self.peers.load(Ordering::Relaxed);
            let (requests, people) = if peers == 1 { ("request", "person") } else { ("requests", "people") };
            self.reading
                .client
                .note(format!("Reading `peer_quality` takes about {peers} {requests} for {peers} {people}."));
        }
        Some(Slice::since(list, self.reading.since.created(LOOK_BACK)))
    }

    async fn fetch(self: Arc<Self>, slice: Slice) -> Result<Step, StreamError> {
        let is_counted = slice.list == COUNTED;
        // A state holds no count: one that was cut begins anew.
        let is_cut = is_counted && !self.has_begun_to_count.swap(true, Ordering::Relaxed);
        let slice = if is_cut { Slice { token: None, ..slice } } else { slice };
        let filter = slice.filter(false);
        let filter = if is_counted { filter } else { ListFilter { limit: Some(SESSIONS_PER_PAGE), ..filter } };
        let shape = |page: Vec<EndedSession<'_>>| {
            page.iter().map(|session| Ended::of(session, self.reading.format.personal())).collect::<Result<Vec<_>, _>>()
        };
        let page = self.reading.client.list::<EndedSession<'static>, _>(List::SESSIONS, &filter, shape).await?;
        let due: Vec<Ended> = page.content?.into_iter().filter(|session| self.is_due(session)).collect();
        let rest = slice.rest(page.next);
        if is_counted {
            let without_id = due.iter().map(|session| session.without_id).sum();
            self.without_id.fetch_add(without_id, Ordering::Relaxed);
            self.peers.fetch_add(due.iter().map(|session| session.peers.len() as u64).sum(), Ordering::Relaxed);
            return Ok(Step { rest, ..Step::default() });
        }
        Ok(Step { later: Some(self.measure(due)), rest, ..Step::default() })
    }

    /// The measures are columns, whatever else a track has.
    async fn sample(_: &Client) -> Result<Map<String, Value>, ApiError> {
        Ok(Map::new())
    }

    fn finish(&self) -> Result<Vec<Remark>, StreamError> {
        let mut remarks = self.refused.finish()?;
        let without_id = self.without_id.load(Ordering::Relaxed);
        if without_id > 0 {
            remarks.push(Remark::warning(format!(
                "100ms gives no id for {without_id} of the people whose measurements were requested, so they were \
                 requested under the ids that `sessions` has for them, which 100ms may not know."
            )));
        }
        Ok(remarks)
    }
}

impl PeerQuality {
    fn is_due(&self, session: &Ended) -> bool {
        self.reading.is_due(&session.times())
    }

    /// The measurements of everybody in these sessions.
    fn measure(self: Arc<Self>, sessions: Vec<Ended>) -> Later {
        let people = sessions.into_iter().flat_map(|session| {
            let session = Arc::new(session);
            (0..session.peers.len()).map(move |number| (Arc::clone(&session), number))
        });
        let ask = move |(session, number): (Arc<Ended>, usize)| {
            let stream = Arc::clone(&self);
            async move { stream.rows_of(&session, &session.peers[number]).await }
        };
        let answers = stream::iter(people).map(ask).buffer_unordered(AT_ONCE);
        answers.chunks(PEOPLE_PER_PART).map(together).boxed()
    }

    async fn rows_of(&self, session: &Ended, peer: &str) -> Result<Rows, StreamError> {
        let shape = |stats: PeerStats<'_>| self.shape(session, peer, &stats);
        let stats = self.reading.client.peer_stats::<PeerStats<'static>, _>(&session.id, peer, shape).await;
        self.refused.allow(stats, OF_THIS_ONE)?.flatten().unwrap_or_else(|| Ok(Rows::default()))
    }

    fn shape(&self, session: &Ended, peer: &str, stats: &PeerStats<'_>) -> Result<Rows, StreamError> {
        let mut rows = Rows::default();
        for (direction, side) in [("publish", &stats.publisher), ("subscribe", &stats.subscriber)] {
            let side: Side<'_> = match side.raw {
                None => Side::default(),
                Some(raw) => serde_json::from_str(raw.get())
                    .map_err(|_| RecordError::new(Some(peer), direction, "is not an object of tracks"))?,
            };
            for (kind, tracks) in [("video", &side.video), ("audio", &side.audio)] {
                let tracks: Keyed<'_, Track<'_>> = Members::of(tracks.raw)
                    .map_err(|_| RecordError::new(Some(peer), "tracks", "is not a list of tracks"))?;
                for (_, track) in tracks {
                    let record = record_of(session, peer, direction, kind, track);
                    rows.push(&self.reading.format, &record, Some(session.times()));
                }
            }
        }
        Ok(rows)
    }
}

fn together(parts: Vec<Result<Rows, StreamError>>) -> Result<Rows, StreamError> {
    let mut rows = Rows::default();
    for part in parts {
        rows.append(part?);
    }
    Ok(rows)
}

/// A session that has ended, and who was in it.
struct Ended {
    id: String,
    room: Option<String>,
    created_at: Timestamp,
    ended_at: Timestamp,
    /// What dates its end at the latest: 100ms may say that it is over long after the last person has left.
    changed: Timestamp,
    /// Until when a following sync has to look at it again.
    settled: Timestamp,
    peers: Vec<String>,
    /// How many of them have no id at 100ms.
    without_id: u64,
}

impl Ended {
    fn of(session: &EndedSession<'_>, personal: &PersonalData) -> Result<Self, RecordError> {
        let id = id(session.id.0)?.into_owned();
        let (created_at, updated_at) = times(&id, session.created_at, session.updated_at)?;
        let told = session.ended_at.readable(&id, "ended_at")?;
        let people = People::<PeerEntry<'_>>::of(session.peers.raw, &id, personal)?;
        let last_left = people.all.iter().filter_map(|peer| peer.left_at.get()).max();
        let ended_at = told.or(last_left).unwrap_or(updated_at);
        // Nothing dates its end: an earlier sync may have come before it.
        let has_undated_end = told.is_none() && updated_at <= last_left.unwrap_or(created_at).max(created_at);
        let changed = ended_at.max(updated_at);
        let settled = if has_undated_end { changed.max(created_at + LOOK_BACK) } else { changed };
        Ok(Self {
            id,
            room: text(session.room_id.0).map(Cow::into_owned),
            created_at,
            ended_at,
            changed,
            settled,
            without_id: people.without_id,
            peers: people.all.into_iter().filter_map(|peer| peer.id.0.map(Cow::into_owned)).collect(),
        })
    }

    fn times(&self) -> Times {
        Times { changed: self.changed, settled: self.settled, ..Times::new(self.created_at, self.ended_at) }
    }
}

fn record_of<'a>(
    session: &'a Ended,
    peer: &'a str,
    direction: &'static str,
    kind: &'static str,
    track: Track<'a>,
) -> PeerQualityRecord<'a> {
    let mut record = PeerQualityRecord {
        session_id: Computed(Some(session.id.as_str().into())),
        peer_id: Computed(Some(peer.into())),
        room_id: Computed(session.room.as_deref().map(Label::from)),
        direction: Computed(Some(direction)),
        kind: Computed(Some(kind)),
        track_id: Computed(Some(text(track.track_id.0).unwrap_or_default().into())),
        r#type: track.r#type,
        rid: Computed(Some(text(track.rid.0).unwrap_or_default().into())),
        session_ended_at: Computed(Some(session.ended_at)),
        time_series: track.time_series,
        ..PeerQualityRecord::default()
    };
    record.summarise();
    record
}

impl<'a> PeerQualityRecord<'a> {
    fn summarise(&mut self) {
        // Each measure is read by itself: one that is odd says nothing about the others.
        let series: Keyed<'a, &'a RawValue> = Members::of(self.time_series.0).unwrap_or_default();
        let measure = |name: &str| series.iter().find(|(key, _)| key.as_deref() == Some(name)).map(|(_, raw)| *raw);
        let timestamps = measure("timestamps").map(numbers).unwrap_or_default();
        let at = |time: Option<f64>| time.map(|time| Timestamp::from_micros((time * 1000.0) as i64));
        self.started_at.0 = at(timestamps.first().copied().flatten());
        self.stopped_at.0 = at(timestamps.last().copied().flatten());
        self.samples.0 = Some(timestamps.len() as u64);
        let summary = |name: &str| summary(measure(name));
        [self.bitrate_mean, self.bitrate_min, self.bitrate_max, self.bitrate_p95] = summary("bitrate");
        [self.fps_mean, self.fps_min, self.fps_max, self.fps_p95] = summary("fps");
        [
            self.packet_loss_percent_mean,
            self.packet_loss_percent_min,
            self.packet_loss_percent_max,
            self.packet_loss_percent_p95,
        ] = summary("packet_loss_percent");
        [self.rtt_ms_mean, self.rtt_ms_min, self.rtt_ms_max, self.rtt_ms_p95] = summary("rtt_ms");
        [self.jitter_ms_mean, self.jitter_ms_min, self.jitter_ms_max, self.jitter_ms_p95] = summary("jitter_ms");
        [self.freeze_count_mean, self.freeze_count_min, self.freeze_count_max, self.freeze_count_p95] =
            summary("freeze_count");
        [
            self.concealed_samples_mean,
            self.concealed_samples_min,
            self.concealed_samples_max,
            self.concealed_samples_p95,
        ] = summary("concealed_samples");
    }
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
fn summary(measured: Raw<'_>) -> [Derived<'_, f64>; 4] {
    let mut values: Vec<f64> = measured.map(numbers).unwrap_or_default().into_iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 95).div_ceil(100);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let p95 = rank.checked_sub(1).and_then(|index| values.get(index)).copied();
    let is_odd = |json: &&RawValue| values.is_empty() && items(json).iter().any(|item| item.get() != "null");
    let raw = measured.filter(is_odd);
    [Some(mean).filter(|mean| mean.is_finite()), values.first().copied(), values.last().copied(), p95]
        .map(|value| Derived { raw, value })
}

#[cfg(test)]
mod tests {
    use super::super::write::to_value;
    use super::*;

    #[test]
    fn measures_are_summarised_without_their_nulls() {
        let json = r#"{"time_series":{"timestamps":[1714557600000,1714557610000],"rtt_ms":[null,30.5,10],"fps":[]}}"#;
        let track: Track<'_> = serde_json::from_str(json).unwrap();
        let session =
            r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","ended_at":"2024-05-01T11:00:00Z","peers":{"p":{}}}"#;
        let session = Ended::of(&serde_json::from_str(session).unwrap(), &PersonalData::Keep).unwrap();
        assert_eq!(session.peers, ["p"]);
        let record = to_value(&record_of(&session, "p", "publish", "video", track));
        assert_eq!((&record["rtt_ms_mean"], &record["rtt_ms_min"]), (&20.25.into(), &10.0.into()));
        assert_eq!((&record["rtt_ms_max"], &record["rtt_ms_p95"]), (&30.5.into(), &30.5.into()));
        assert_eq!((&record["fps_mean"], &record["bitrate_max"]), (&Value::Null, &Value::Null));
        assert_eq!((&record["rid"], &record["track_id"]), (&"".into(), &"".into()));
        assert_eq!((&record["samples"], &record["stopped_at"]), (&2.into(), &"2024-05-01T10:00:10.000000Z".into()));
        assert_eq!(record["session_ended_at"], "2024-05-01T11:00:00.000000Z");
    }

    #[test]
    fn an_odd_measure_says_nothing_about_the_others() {
        let json = r#"{"time_series":{"timestamps":["1714557600000",1714557610000.0],"rtt_ms":["30.5",null,10,"n/a"],
            "fps":null,"codec":"opus","bitrate":"12","jitter_ms":"many","freeze_count":[null],"\ud800":[1]}}"#;
        let track: Track<'_> = serde_json::from_str(json).unwrap();
        let session = r#"{"id":"s","created_at":"2024-05-01T10:00:00Z","peers":{"p":{}}}"#;
        let session = Ended::of(&serde_json::from_str(session).unwrap(), &PersonalData::Keep).unwrap();
        let record = record_of(&session, "p", "publish", "video", track);
        assert!(record.jitter_ms_mean.raw.is_some() && record.freeze_count_mean.raw.is_none());
        let record = to_value(&record);
        assert_eq!((&record["rtt_ms_mean"], &record["rtt_ms_p95"]), (&20.25.into(), &30.5.into()));
        assert_eq!((&record["fps_mean"], &record["jitter_ms_mean"]), (&Value::Null, &Value::Null));
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
            let session = serde_json::from_str(&json).unwrap();
            let times = Ended::of(&session, &PersonalData::Keep).unwrap().times();
            [times.cursor, times.changed, times.settled].map(|time| time.to_string()[11..16].to_owned())
        };
        assert_eq!(times(r#","ended_at":"2024-05-01T11:00:00Z""#), ["11:00", "12:00", "12:00"]);
        assert_eq!(times(r#","peers":[{"left_at":"2024-05-01T10:30:00Z"}]"#), ["10:30", "12:00", "12:00"]);
        assert_eq!(times(r#","peers":[{"left_at":"2024-05-01T12:00:00Z"}]"#), ["12:00", "12:00", "23:00"]);
    }

    #[test]
    fn the_95th_percentile_is_the_nearest_rank() {
        let p95 = |count: u32| {
            let json = Value::from((1..=count).collect::<Vec<_>>()).to_string();
            summary(serde_json::from_str(&json).unwrap())[3].value
        };
        assert_eq!((p95(0), p95(1), p95(19), p95(20), p95(100)), (None, Some(1.0), Some(19.0), Some(19.0), Some(95.0)));
    }
}
