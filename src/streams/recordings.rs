//! `recordings`: every recording with its files.
//!
//! - **Source:** `/v2/recordings`, which leaves the files out, joined with `/v2/recording-assets` by
//!   `job_id`; `/v2/recording-assets/{id}/presigned-url` for the link to the primary file.
//! - **Cursor:** `updated_at`: the last change of the recording or of any of its files, because files
//!   (a transcript, say) arrive after the recording's own `updated_at`.
//! - **Join:** both lists are newest first and a file is younger than its recording, so the two are read
//!   side by side: the files of a recording have all been seen once the list of files is past the
//!   recording's creation. What waits in memory is only what belongs to recordings not reached yet.
//! - **Early stop:** there is no time filter. A sync reads back to 72 h before its cursor by creation,
//!   and fetches older recordings one by one when a file of theirs is newer than the cursor.
//! - **Open in the reference:** the order of both lists. It is checked on every page; if it does not
//!   hold, the stream starts over, reads all files first and stops nowhere early.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::record::record;
use super::values::{Integer, MeetingUrl, Number, Object, Text, Texts, id, number, optional_time, text, times};
use super::{
    Description, Reading, Record, RecordError, Rows, Slice, Step, Stream, StreamError, Timestamp, added_fields,
};
use crate::api::{Asset, Client, ListFilter, Members, Page, Recording};
use schemars::JsonSchema;
use serde::Serialize;

record! {
    /// A recording and its files.
    RecordingRecord {
        /// Unique id of the recording.
        id: Text<'a>,
        /// The room that was recorded.
        room_id: Text<'a>,
        /// The session that was recorded.
        session_id: Text<'a>,
        /// starting, running, stopping, post_processing, completed or failed.
        status: Text<'a>,
        /// When it was created.
        created_at: Timestamp,
        /// When recording began.
        started_at: Option<Timestamp>,
        /// When recording stopped.
        stopped_at: Option<Timestamp>,
        /// When the recording or any of its files last changed. The cursor of this stream.
        updated_at: Timestamp,
        /// Who started it.
        started_by: Text<'a>,
        /// Who stopped it.
        stopped_by: Text<'a>,
        /// The link that was recorded; its token is masked.
        meeting_url: MeetingUrl<'a>,
        /// The destination in the template.
        destination: Text<'a>,
        /// The types of files it was to make.
        asset_types: Texts<'a>,
        /// Its files, ordered by when they were made.
        recording_assets: Vec<AssetEntry<'a>>,
        /// Seconds of the primary file.
        duration: Number<'a>,
        /// Bytes of the primary file.
        size: Integer<'a>,
        /// Where the primary file is stored.
        path: Text<'a>,
        /// A link to the primary file that works for a limited time; null when 100ms has it no longer.
        url: Option<&'a str>,
    }
}

/// A file of a recording.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct AssetEntry<'a> {
    /// Unique id of the file.
    id: Text<'a>,
    /// The recording it belongs to.
    job_id: Text<'a>,
    /// The room.
    room_id: Text<'a>,
    /// The session.
    session_id: Text<'a>,
    /// room-composite, room-vod, chat, transcript, summary, track, stream and others.
    r#type: Text<'a>,
    /// completed or failed.
    status: Text<'a>,
    /// Where it is stored.
    path: Text<'a>,
    /// Bytes.
    size: Integer<'a>,
    /// Seconds.
    duration: Number<'a>,
    // A list or an object: the reference does not say, so the schema does not either.
    #[schemars(skip)]
    thumbnails: Object<'a>,
    /// What else is known of the file.
    metadata: Object<'a>,
    /// When it was made.
    created_at: Option<Timestamp>,
}

pub(super) const DESCRIPTION: Description = Description {
    name: "recordings",
    primary_key: &["id"],
    cursor: Some("updated_at"),
    columns: RecordingRecord::COLUMNS,
    schema: super::schema_of_record::<RecordingRecord<'static>>,
    sample: |client| {
        Box::pin(async move {
            let whole = ListFilter::default();
            let sampled = client.recordings(&whole, |recordings| {
                added_fields(recordings.into_iter().filter_map(|raw| parse(raw).ok()).map(|recording| recording.other))
            });
            Ok(sampled.await?.content)
        })
    },
    open: |reading| {
        let wants_url = reading.options.recording_urls && reading.format.has(RecordingRecord::COLUMNS, "url");
        Box::new(Recordings { reading, wants_url, assets: Mutex::default() })
    },
    line: |item| {
        let parent = owned(super::parsed(item)?)?;
        let joined = Joined::of(&parent)?;
        let others = joined.recording.other.clone();
        super::line(&joined.into_record(None)?, &others)
    },
};

/// How far back by creation a recording is looked at again, for changes of its own.
const LOOK_BACK_HOURS: i64 = 72;
/// A file is younger than its recording; allow for clocks.
const CLOCK_HOURS: i64 = 1;
/// Recordings fetched one by one in a step.
const LATE_BATCH: usize = 50;

/// The lists of this stream. Newest first, until the order is found not to hold.
const NEWEST_FIRST: &str = "newest_first";
/// Recordings beyond the look-back with a new file; `start` is the id below which they are.
const LATE: &str = "late";
/// In whatever order.
const ANY_ORDER: &str = "any_order";

/// Primary types, best first.
const PRIMARY: [&str; 5] = ["room-composite", "room-composite-legacy", "room-vod", "stream", "track"];

struct Recordings {
    reading: Reading,
    wants_url: bool,
    assets: Mutex<Assets>,
}

/// The list of files, as far as it has been read.
#[derive(Default)]
struct Assets {
    /// Files whose recording has not been reached, by the recording's id.
    waiting: BTreeMap<String, Waiting>,
    /// Where the list goes on.
    next: Option<String>,
    /// The oldest creation seen.
    oldest: Option<Timestamp>,
    is_complete: bool,
    /// Nothing has been forgotten: the lists are in no known order.
    holds_all: bool,
}

/// Files of a recording that has not been reached.
#[derive(Default)]
struct Waiting {
    files: Vec<Box<RawValue>>,
    newest: Option<Timestamp>,
}

/// What is kept of a recording between its page and its record.
struct Parent {
    id: String,
    created_at: Timestamp,
    raw: Box<RawValue>,
    files: Vec<Box<RawValue>>,
}

impl Stream for Recordings {
    fn first(&self) -> Slice {
        Slice::whole(NEWEST_FIRST)
    }

    fn knows(&self, list: &str) -> bool {
        matches!(list, NEWEST_FIRST | LATE | ANY_ORDER)
    }

    fn fetch<'a>(&'a self, slice: &'a Slice) -> BoxFuture<'a, Result<Step, StreamError>> {
        Box::pin(async move {
            match slice.list.as_str() {
                LATE => self.late(slice).await,
                ANY_ORDER => self.any_order(slice).await,
                _ => self.newest_first(slice).await,
            }
        })
    }
}

impl Recordings {
    /// A page, joined with the files that have been seen, as long as both lists are newest first.
    async fn newest_first(&self, slice: &Slice) -> Result<Step, StreamError> {
        let page = self.page(slice).await?;
        let mut parents = page.content?;
        let start_over = Step { next: vec![Slice::whole(ANY_ORDER)], ..Step::default() };
        if !is_newest_first(slice.start.as_deref(), &parents) {
            return Ok(start_over);
        }
        // When something shifts, a page begins with the end of the last one.
        parents.retain(|parent| slice.start.as_ref().is_none_or(|start| parent.id < *start));
        let mut assets = self.assets.lock().await;
        if let Some(oldest) = parents.last() {
            let far_enough = oldest.created_at.minus_hours(CLOCK_HOURS);
            if !assets.read_back_to(&self.reading.client, far_enough, slice.start.as_deref()).await? {
                return Ok(start_over);
            }
            let end = oldest.id.clone();
            parents.iter_mut().for_each(|parent| parent.files = assets.take(&parent.id));
            assets.forget_from(&end);
        }
        let horizon = self.reading.cursor.minus_hours(LOOK_BACK_HOURS);
        let rest = match (parents.last(), page.next) {
            (Some(oldest), Some(_)) if oldest.created_at < horizon => {
                Some(Slice { start: Some(oldest.id.clone()), ..Slice::whole(LATE) })
            }
            (_, next) => slice.rest(next),
        };
        Ok(Step { rows: self.rows(parents).await?, next: rest.into_iter().collect(), seen: None })
    }

    /// Recordings beyond the look-back that have got a file since the cursor.
    async fn late(&self, slice: &Slice) -> Result<Step, StreamError> {
        let below = slice.start.as_deref();
        let mut assets = self.assets.lock().await;
        if !assets.read_back_to(&self.reading.client, self.reading.cursor, below).await? {
            return Ok(Step { next: vec![Slice::whole(ANY_ORDER)], ..Step::default() });
        }
        let batch = assets.newer_than(self.reading.cursor, below);
        let fetched = try_join_all(batch.iter().map(|id| self.reading.client.recording(id, owned))).await?;
        let mut parents = Vec::with_capacity(fetched.len());
        // A file may also belong to a live stream, which is no recording.
        for parent in fetched.into_iter().flatten() {
            let parent = parent?;
            parents.push(Parent { files: assets.take(&parent.id), ..parent });
        }
        let rest = batch.last().filter(|_| batch.len() == LATE_BATCH);
        let next = rest.map(|id| Slice { start: Some(id.clone()), ..Slice::whole(LATE) }).into_iter().collect();
        Ok(Step { rows: self.rows(parents).await?, next, seen: None })
    }

    /// A page of lists in whatever order: all files are read first.
    async fn any_order(&self, slice: &Slice) -> Result<Step, StreamError> {
        let mut assets = self.assets.lock().await;
        assets.read_all(&self.reading.client).await?;
        let page = self.page(slice).await?;
        let mut parents = page.content?;
        parents.iter_mut().for_each(|parent| parent.files = assets.of(&parent.id));
        Ok(Step { rows: self.rows(parents).await?, next: slice.rest(page.next).into_iter().collect(), seen: None })
    }

    async fn page(&self, slice: &Slice) -> Result<Page<Result<Vec<Parent>, RecordError>>, StreamError> {
        Ok(self.reading.client.recordings(&slice.page(), |items| items.into_iter().map(owned).collect()).await?)
    }

    async fn rows(&self, parents: Vec<Parent>) -> Result<Rows, StreamError> {
        let mut changed = Vec::with_capacity(parents.len());
        for parent in &parents {
            let joined = Joined::of(parent)?;
            if joined.changed >= self.reading.cursor {
                changed.push(joined);
            }
        }
        let urls = try_join_all(changed.iter().map(|joined| self.url_of(joined))).await?;
        let mut rows = Rows::default();
        for (joined, url) in changed.into_iter().zip(&urls) {
            let others = joined.recording.other.clone();
            let cursor = Some(joined.changed);
            rows.push(&self.reading.format, &joined.into_record(url.as_deref())?, cursor, &others)?;
        }
        Ok(rows)
    }

    async fn url_of(&self, joined: &Joined<'_>) -> Result<Option<String>, StreamError> {
        let asset = joined.primary().and_then(|asset| text(asset.id.0)).filter(|_| self.wants_url);
        match asset {
            Some(asset) => Ok(self.reading.client.presigned_url(&asset).await?),
            None => Ok(None),
        }
    }
}

impl Assets {
    /// Reads on until files made before `time` appear; false when the list is found not to be newest
    /// first. Files of recordings with the id `below` or a later one are of no interest any more.
    async fn read_back_to(
        &mut self,
        client: &Client,
        time: Timestamp,
        below: Option<&str>,
    ) -> Result<bool, StreamError> {
        let mut is_in_order = true;
        while is_in_order && !self.is_complete && self.oldest.is_none_or(|oldest| oldest >= time) {
            is_in_order = self.read_page(client, below).await?;
        }
        Ok(is_in_order)
    }

    /// Reads all files there are. What has been forgotten on the way is read again.
    async fn read_all(&mut self, client: &Client) -> Result<(), StreamError> {
        if !self.holds_all {
            *self = Self { holds_all: true, ..Self::default() };
        }
        while !self.is_complete {
            self.read_page(client, None).await?;
        }
        Ok(())
    }

    /// Reads a page; false when it is not newest first.
    async fn read_page(&mut self, client: &Client, below: Option<&str>) -> Result<bool, StreamError> {
        let filter = ListFilter { start: self.next.as_deref(), ..ListFilter::default() };
        let shape = |items: Vec<&RawValue>| items.into_iter().map(File::of).collect::<Result<Vec<_>, _>>();
        let page = client.recording_assets(&filter, shape).await?;
        self.is_complete = page.next.is_none();
        self.next = page.next;
        let mut is_in_order = true;
        for file in page.content? {
            let oldest = self.oldest.unwrap_or(file.created_at);
            is_in_order &= file.created_at.minus_hours(CLOCK_HOURS) <= oldest;
            self.oldest = Some(oldest.min(file.created_at));
            self.keep(file, below);
        }
        Ok(is_in_order)
    }

    fn keep(&mut self, file: File, below: Option<&str>) {
        let Some(job) = file.job.filter(|job| below.is_none_or(|below| job.as_str() < below)) else { return };
        let waiting = self.waiting.entry(job).or_default();
        waiting.newest = waiting.newest.max(Some(file.created_at));
        waiting.files.push(file.raw);
    }

    /// The files of a recording, which stay: it may come again on the next page.
    fn of(&self, recording: &str) -> Vec<Box<RawValue>> {
        self.waiting.get(recording).map(|waiting| waiting.files.clone()).unwrap_or_default()
    }

    /// The files of a recording.
    fn take(&mut self, recording: &str) -> Vec<Box<RawValue>> {
        self.waiting.remove(recording).map(|waiting| waiting.files).unwrap_or_default()
    }

    /// Drops files of recordings with the id `end` or a later one: newest first, they have been passed.
    fn forget_from(&mut self, end: &str) {
        self.waiting.split_off(end);
    }

    /// Recordings below `below` with a file made since `cursor`, newest first, a batch at most.
    fn newer_than(&self, cursor: Timestamp, below: Option<&str>) -> Vec<String> {
        let jobs = self.waiting.iter().rev();
        jobs.filter(|(job, waiting)| waiting.newest >= Some(cursor) && below.is_none_or(|below| job.as_str() < below))
            .map(|(job, _)| job.clone())
            .take(LATE_BATCH)
            .collect()
    }
}

/// A file on its way to its recording.
struct File {
    job: Option<String>,
    created_at: Timestamp,
    raw: Box<RawValue>,
}

impl File {
    fn of(raw: &RawValue) -> Result<Self, RecordError> {
        let asset: Asset<'_> = serde_json::from_str(raw.get())
            .map_err(|_| RecordError::new(None, "data", "holds a file that is no object"))?;
        let id = id(asset.id)?;
        let (created_at, _) = times(&id, asset.created_at, None)?;
        Ok(Self { job: text(asset.job_id).map(String::from), created_at, raw: raw.to_owned() })
    }
}

fn owned(raw: &RawValue) -> Result<Parent, RecordError> {
    let recording = parse(raw)?;
    let id = id(recording.id)?;
    let (created_at, _) = times(&id, recording.created_at, None)?;
    Ok(Parent { id: id.into_owned(), created_at, raw: raw.to_owned(), files: Vec::new() })
}

fn parse(raw: &RawValue) -> Result<Recording<'_>, RecordError> {
    serde_json::from_str(raw.get()).map_err(|_| RecordError::new(None, "data", "holds a recording that is no object"))
}

/// Whether ids descend, to below the token of the page, and creations with them.
fn is_newest_first(start: Option<&str>, parents: &[Parent]) -> bool {
    let follows = |before: &Parent, after: &Parent| {
        before.id > after.id && after.created_at.minus_hours(CLOCK_HOURS) <= before.created_at
    };
    parents.windows(2).all(|pair| follows(&pair[0], &pair[1]))
        && parents.last().zip(start).is_none_or(|(last, start)| last.id.as_str() < start)
}

/// A recording with its files.
struct Joined<'a> {
    recording: Recording<'a>,
    id: std::borrow::Cow<'a, str>,
    assets: Vec<AssetEntry<'a>>,
    created_at: Timestamp,
    /// When the recording or any of its files last changed.
    changed: Timestamp,
}

impl<'a> Joined<'a> {
    fn of(parent: &'a Parent) -> Result<Self, RecordError> {
        let recording = parse(&parent.raw)?;
        let id = id(recording.id)?;
        let (created_at, updated_at) = times(&id, recording.created_at, recording.updated_at)?;
        // The list leaves files out; should it hold some, they count as well.
        let inline: Vec<(_, &'a RawValue)> = Members::of(recording.recording_assets)
            .map_err(|_| RecordError::new(Some(&id), "recording_assets", "is not an array"))?;
        let files = parent.files.iter().map(AsRef::as_ref).chain(inline.into_iter().map(|(_, raw)| raw));
        let assets = entries(files, &id)?;
        let changed = assets.iter().filter_map(|asset| asset.created_at).fold(updated_at, Timestamp::max);
        Ok(Self { recording, id, assets, created_at, changed })
    }

    /// The file that stands for the whole recording.
    fn primary(&self) -> Option<&AssetEntry<'a>> {
        let is = |asset: &&AssetEntry<'_>, kind: &str| text(asset.r#type.0).as_deref() == Some(kind);
        let completed = || self.assets.iter().filter(|asset| text(asset.status.0).as_deref() == Some("completed"));
        let whole = completed().find(|asset| is(asset, PRIMARY[0]) && !has_layer(asset));
        let best = || PRIMARY.iter().find_map(|kind| completed().find(|asset| is(asset, kind)));
        whole.or_else(best).or_else(|| completed().max_by_key(|asset| asset.bytes()))
    }

    fn into_record(self, url: Option<&'a str>) -> Result<RecordingRecord<'a>, RecordError> {
        let primary = self.primary().cloned();
        let primary = primary.as_ref();
        let Recording { id, room_id, session_id, status, started_by, stopped_by, meeting_url, .. } = self.recording;
        Ok(RecordingRecord {
            id: Text(id),
            room_id: Text(room_id),
            session_id: Text(session_id),
            status: Text(status),
            created_at: self.created_at,
            started_at: optional_time(self.recording.started_at, &self.id, "started_at")?,
            stopped_at: optional_time(self.recording.stopped_at, &self.id, "stopped_at")?,
            updated_at: self.changed,
            started_by: Text(started_by),
            stopped_by: Text(stopped_by),
            meeting_url: MeetingUrl(meeting_url),
            destination: Text(self.recording.destination),
            asset_types: Texts(self.recording.asset_types),
            recording_assets: self.assets,
            duration: primary.map(|asset| asset.duration).unwrap_or_default(),
            size: primary.map(|asset| asset.size).unwrap_or_default(),
            path: primary.map(|asset| asset.path).unwrap_or_default(),
            url,
        })
    }
}

impl AssetEntry<'_> {
    fn bytes(&self) -> u64 {
        self.size.0.and_then(number).and_then(|size| size.as_u64()).unwrap_or_default()
    }
}

/// The files, each once, ordered by when they were made, then by id.
fn entries<'a>(files: impl Iterator<Item = &'a RawValue>, recording: &str) -> Result<Vec<AssetEntry<'a>>, RecordError> {
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for raw in files {
        let asset: Asset<'a> = serde_json::from_str(raw.get())
            .map_err(|_| RecordError::new(Some(recording), "recording_assets", "holds a file that is no object"))?;
        let id = id(asset.id)?;
        let created_at = optional_time(asset.created_at, &id, "created_at")?;
        if seen.insert(id.clone()) {
            entries.push((created_at, id, entry(asset, created_at)));
        }
    }
    entries.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Ok(entries.into_iter().map(|(_, _, entry)| entry).collect())
}

fn entry<'a>(asset: Asset<'a>, created_at: Option<Timestamp>) -> AssetEntry<'a> {
    AssetEntry {
        id: Text(asset.id),
        job_id: Text(asset.job_id),
        room_id: Text(asset.room_id),
        session_id: Text(asset.session_id),
        r#type: Text(asset.kind),
        status: Text(asset.status),
        path: Text(asset.path),
        size: Integer(asset.size),
        duration: Number(asset.duration),
        thumbnails: Object(asset.thumbnails),
        metadata: Object(asset.metadata),
        created_at,
    }
}

/// Whether a composite shows one layer only; the one without a layer is the whole.
fn has_layer(asset: &AssetEntry<'_>) -> bool {
    #[derive(serde::Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        layer: crate::api::Raw<'a>,
    }
    let layer =
        |raw: &RawValue| serde_json::from_str::<Metadata<'_>>(raw.get()).ok().is_some_and(|m| m.layer.is_some());
    asset.metadata.0.is_some_and(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn asset(id: &str, kind: &str, rest: &str) -> Box<RawValue> {
        raw(&format!(r#"{{"id":"{id}","job_id":"r","type":"{kind}","created_at":"2024-05-01T12:00:00Z"{rest}}}"#))
    }

    fn parent(files: Vec<Box<RawValue>>) -> Parent {
        let recording = r#"{"id":"r","created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T11:00:00Z",
            "meeting_url":"https://x/y?token=T","status":"completed"}"#;
        Parent { files, ..owned(&raw(recording)).unwrap() }
    }

    fn primary(files: Vec<Box<RawValue>>) -> Option<String> {
        let parent = parent(files);
        let joined = Joined::of(&parent).unwrap();
        joined.primary().and_then(|asset| text(asset.id.0)).map(String::from)
    }

    #[test]
    fn a_late_file_changes_its_recording() {
        let parent = parent(vec![asset("a", "transcript", "")]);
        let joined = Joined::of(&parent).unwrap();
        assert_eq!(joined.changed.to_string(), "2024-05-01T12:00:00.000000Z");
        let record = super::super::record_value(&joined.into_record(None).unwrap());
        assert_eq!(record["meeting_url"], "https://x/y?token=**********");
        assert_eq!(record["updated_at"], "2024-05-01T12:00:00.000000Z");
        assert_eq!((&record["url"], &record["size"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }

    #[test]
    fn the_primary_file_is_the_whole_composite_else_the_next_best() {
        let done = r#","status":"completed""#;
        let layered = r#","status":"completed","metadata":{"layer":0}"#;
        let files = || {
            vec![asset("a", "track", done), asset("b", "room-composite", layered), asset("c", "room-composite", done)]
        };
        assert_eq!(primary(files()).unwrap(), "c");
        assert_eq!(primary(files()[..2].to_vec()).unwrap(), "b");
        assert_eq!(primary(files()[..1].to_vec()).unwrap(), "a");
        assert_eq!(primary(vec![asset("f", "room-composite", r#","status":"failed""#)]), None);
        let sized = |id: &str, size: &str| asset(id, "chat", &format!(r#","status":"completed","size":{size}"#));
        assert_eq!(primary(vec![sized("s", "5000000000"), sized("t", "7")]).unwrap(), "s");
    }

    #[test]
    fn a_file_that_comes_twice_is_one() {
        let parent = parent(vec![asset("a", "chat", ""), asset("a", "chat", "")]);
        assert_eq!(Joined::of(&parent).unwrap().assets.len(), 1);
    }

    #[test]
    fn order_is_seen() {
        let at = |id: &str, hour: u32| Parent {
            id: id.into(),
            created_at: Timestamp::parse(&format!("2024-05-01T{hour:02}:00:00Z")).unwrap(),
            raw: raw("{}"),
            files: Vec::new(),
        };
        assert!(is_newest_first(None, &[at("c", 9), at("b", 8), at("a", 7)]));
        assert!(is_newest_first(Some("d"), &[at("c", 9)]));
        assert!(!is_newest_first(Some("c"), &[at("c", 9)]));
        assert!(is_newest_first(Some("b"), &[at("b", 9), at("a", 8)]), "a repeated item is no disorder");
        assert!(!is_newest_first(None, &[at("a", 7), at("b", 8)]));
        // Ids descend but creations do not: the order of creation is what early stopping needs.
        assert!(!is_newest_first(None, &[at("b", 5), at("a", 9)]));
    }

    #[test]
    fn files_wait_only_for_recordings_not_yet_reached() {
        let mut assets = Assets::default();
        for job in ["a", "b", "c"] {
            let file = raw(&format!(r#"{{"id":"{job}1","job_id":"{job}","created_at":"2024-05-01T12:00:00Z"}}"#));
            assets.keep(File::of(&file).unwrap(), Some("c"));
        }
        assert_eq!(assets.waiting.len(), 2, "c and later are behind us");
        let cursor = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        assert_eq!(assets.newer_than(cursor, None), ["b", "a"]);
        assert_eq!(assets.newer_than(cursor, Some("b")), ["a"]);
        assets.forget_from("b");
        assert_eq!(assets.waiting.len(), 1);
        assert_eq!(assets.take("a").len(), 1);
    }
}
