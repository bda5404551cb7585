//! The list of files, read newest first and a little ahead of those who need them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::asset::File;
use super::stream::{Slice, StreamError};
use crate::api::{Client, Endpoint, Get, Page, repeated_token};
use crate::records::{RecordError, Timestamp};

/// A file is younger than its item; allow for clocks.
pub(super) const CLOCKS: TimeDelta = TimeDelta::hours(1);
/// Pages of files that are fetched before somebody asks for them.
const PAGES_AHEAD: usize = 2;

/// The list of files, as far as it has been read.
pub(super) struct FileList {
    /// Files made since are new in this sync.
    changed_since: Timestamp,
    /// Files whose item has not been reached, by the item's id.
    waiting: BTreeMap<String, Vec<ListedFile>>,
    /// The pages that follow.
    pages: FilePages,
    /// The token of the next of them.
    token: Option<String>,
    order: NewestFirst,
    is_complete: bool,
    /// Where its only reader goes on among the items: below this id, or at the first of them.
    reader: Option<Option<String>>,
    /// The last item that has got its files.
    pub(super) passed: Option<String>,
}

/// How far a list has been read that is newest first, as far as has been seen.
#[derive(Default)]
pub(super) struct NewestFirst {
    oldest: Option<Timestamp>,
    pub(super) is_disproved: bool,
}

impl NewestFirst {
    /// Notes the page at `token`.
    pub(super) fn note(&mut self, token: Option<&str>, files: &[ListedFile]) {
        let page: Vec<_> = files.iter().map(|file| (file.id.as_str(), file.created_at)).collect();
        let is_newer = |(_, created): &(&str, Timestamp)| self.oldest.is_some_and(|oldest| *created - CLOCKS > oldest);
        self.is_disproved |= !is_newest_first(token, &page) || page.iter().any(is_newer);
        let times = page.into_iter().map(|(_, created)| created);
        self.oldest = times.chain(self.oldest).min();
    }

    /// Whether items created at or after `time` may follow.
    pub(super) fn goes_back_to(&self, time: Timestamp) -> bool {
        self.is_disproved || self.oldest.is_none_or(|oldest| oldest >= time)
    }
}

/// Whether the ids of the page at `token` descend, to below that token, and creations with them.
pub(super) fn is_newest_first(token: Option<&str>, page: &[(&str, Timestamp)]) -> bool {
    let follows =
        |before: (&str, Timestamp), after: (&str, Timestamp)| before.0 > after.0 && after.1 - CLOCKS <= before.1;
    page.windows(2).all(|pair| follows(pair[0], pair[1]))
        && page.last().zip(token).is_none_or(|((last, _), token)| *last < token)
}

impl FileList {
    /// The list, before anything of it has been read.
    pub(super) fn new(pages: FilePages, changed_since: Timestamp) -> Self {
        Self {
            changed_since,
            waiting: BTreeMap::new(),
            pages,
            token: None,
            order: NewestFirst::default(),
            is_complete: false,
            reader: None,
            passed: None,
        }
    }

    /// Lets a reader in who goes on below this id; false when another one is under way, who needs what this one would drop.
    pub(super) fn admit(&mut self, below: Option<&str>) -> bool {
        self.reader.get_or_insert_with(|| below.map(String::from)).as_deref() == below
    }

    /// Notes where the reader goes on; nowhere, at the end.
    pub(super) fn leave_at(&mut self, rest: Option<&Slice>) {
        self.reader = Some(Some(rest.and_then(Slice::goes_below).unwrap_or_default().to_owned()));
    }

    /// Reads on until files made before `time` appear; false when the list is found not to be newest
    /// first. Files of items with the id `below` or a later one are of no interest any more.
    pub(super) async fn read_back_to(&mut self, time: Timestamp, below: Option<&str>) -> Result<bool, StreamError> {
        while self.goes_back_to(time) {
            for file in self.next_page().await? {
                self.keep(file, below);
            }
        }
        Ok(!self.is_disproved())
    }

    /// Whether the list has been found not to be newest first.
    pub(super) fn is_disproved(&self) -> bool {
        self.order.is_disproved
    }

    /// Whether files made at or after `time` may follow.
    fn goes_back_to(&self, time: Timestamp) -> bool {
        !self.is_complete && !self.order.is_disproved && self.order.goes_back_to(time)
    }

    async fn next_page(&mut self) -> Result<Vec<ListedFile>, StreamError> {
        let Some(page) = self.pages.try_next().await? else { return Ok(Vec::new()) };
        self.order.note(self.token.as_deref(), &page.content);
        self.is_complete = page.next.is_none();
        self.token = page.next;
        Ok(page.content)
    }

    fn keep(&mut self, file: ListedFile, below: Option<&str>) {
        if let Some(job) = file.job.clone().filter(|job| below.is_none_or(|below| job.as_str() < below)) {
            self.waiting.entry(job).or_default().push(file);
        }
    }

    /// How many of these files are new in this sync.
    pub(super) fn count_new<'f>(&self, files: impl IntoIterator<Item = &'f ListedFile>) -> u64 {
        files.into_iter().filter(|file| file.created_at >= self.changed_since).count() as u64
    }

    /// The files of an item.
    pub(super) fn take(&mut self, item: &str) -> Vec<ListedFile> {
        self.waiting.remove(item).unwrap_or_default()
    }

    /// Drops files of items with the id `end` or a later one, which have been passed; how many of them are new.
    pub(super) fn forget_from(&mut self, end: &str) -> u64 {
        let passed = self.waiting.split_off(end);
        self.count_new(passed.values().flatten())
    }

    /// Drops all that is left, because no item follows, and reads on as far as files may be new, unless the list is found not
    /// to be newest first; how many of the files are new.
    pub(super) async fn forget_all(&mut self) -> Result<u64, StreamError> {
        let mut new = self.forget_from("");
        while self.goes_back_to(self.changed_since) {
            let files = self.next_page().await?;
            new += self.count_new(&files);
        }
        Ok(new)
    }

    /// Items below `below` with a file made since `time`.
    pub(super) fn newer_than<'f>(&'f self, time: Timestamp, below: &'f str) -> impl Iterator<Item = &'f str> {
        let items = self.waiting.iter().take_while(move |(item, _)| item.as_str() < below);
        let is_newer = move |files: &[ListedFile]| files.iter().any(|file| file.created_at >= time);
        items.filter(move |(_, files)| is_newer(files)).map(|(item, _)| item.as_str())
    }
}

/// Pages of files, from the first on. They are fetched a little ahead of those who need them, once somebody does: the list
/// of files is one chain, and often the longer one, so it must never stand still.
pub(super) fn pages_ahead(client: Arc<Client>) -> FilePages {
    let begin = async move {
        let (send, pages) = mpsc::channel(PAGES_AHEAD);
        // The task ends with the stream that owns it.
        let mut task = JoinSet::new();
        task.spawn(fetch_all(client, send));
        stream::unfold((pages, task), async |(mut pages, task)| Some((pages.recv().await?, (pages, task))))
    };
    stream::once(begin).flatten().boxed()
}

/// Fetches one page of files after the other, as long as somebody takes them.
async fn fetch_all(client: Arc<Client>, pages: mpsc::Sender<Result<FilePage, StreamError>>) {
    let (mut token, mut seen_tokens) = (None, HashSet::new());
    loop {
        let page = files_page(&client, token.as_deref()).await.and_then(|page| match &page.next {
            Some(next) if !seen_tokens.insert(next.clone()) => {
                Err(repeated_token("/v2/recording-assets".into()).into())
            }
            _ => Ok(page),
        });
        token = page.as_ref().ok().and_then(|page| page.next.clone());
        if pages.send(page).await.is_err() || token.is_none() {
            return;
        }
    }
}

type FilePages = BoxStream<'static, Result<FilePage, StreamError>>;

/// A page of files.
pub(super) type FilePage = Page<Vec<ListedFile>>;

/// A file on its way to its item.
pub(super) struct ListedFile {
    id: String,
    pub(super) job: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) is_unfinished: bool,
    pub(super) raw: Box<RawValue>,
}

/// The page of files at `token`.
pub(super) async fn files_page(client: &Client, token: Option<&str>) -> Result<FilePage, StreamError> {
    let get = Get { start: token, ..Get::page(Endpoint::RECORDING_ASSETS, None) };
    let shape = |items: Vec<&RawValue>| items.into_iter().map(listed).collect::<Result<Vec<_>, _>>();
    let page = client.list::<&'static RawValue, _>(get, shape).await?;
    Ok(Page { content: page.content?, next: page.next })
}

fn listed(raw: &RawValue) -> Result<ListedFile, RecordError> {
    let file = File::of(raw, None)?;
    Ok(ListedFile {
        id: file.id.to_string(),
        job: file.fields.text("job_id").map(String::from),
        created_at: file.created_at,
        is_unfinished: file.is_unfinished(),
        raw: raw.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_wait_only_for_items_not_yet_reached() {
        let changed_since = Timestamp::parse("2024-05-01T12:00:00Z").unwrap();
        let mut files = FileList::new(stream::empty().boxed(), changed_since);
        for (job, hour) in [("a", 12), ("a", 11), ("b", 12), ("c", 12)] {
            let json = format!(r#"{{"id":"{job}{hour}","job_id":"{job}","created_at":"2024-05-01T{hour}:00:00Z"}}"#);
            let raw = RawValue::from_string(json).unwrap();
            files.keep(listed(&raw).unwrap(), Some("c"));
        }
        assert_eq!(files.waiting.len(), 2, "c and later are behind us");
        assert_eq!(files.newer_than(changed_since, "c").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(files.newer_than(changed_since, "b").collect::<Vec<_>>(), ["a"]);
        assert_eq!(files.forget_from("b"), 1);
        let of_a = files.take("a");
        assert_eq!((of_a.len(), files.count_new(&of_a)), (2, 1));
        assert!(files.waiting.is_empty());
    }

    #[test]
    fn order_is_seen() {
        fn at(id: &str, hour: i64) -> (&str, Timestamp) {
            (id, Timestamp::from_micros(hour * 3_600_000_000))
        }
        assert!(is_newest_first(None, &[at("c", 9), at("b", 8), at("a", 7)]));
        assert!(is_newest_first(Some("d"), &[at("c", 9)]));
        assert!(!is_newest_first(Some("c"), &[at("c", 9)]));
        assert!(is_newest_first(Some("b"), &[at("b", 9), at("a", 8)]), "a repeated item is no disorder");
        assert!(!is_newest_first(None, &[at("a", 7), at("b", 8)]));
        // Ids descend but creations do not: the order of creation is what early stopping needs.
        assert!(!is_newest_first(None, &[at("b", 5), at("a", 9)]));
    }
}
