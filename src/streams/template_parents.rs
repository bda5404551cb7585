//! The streams below templates: the templates that are read, each asked for its parts.

use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::value::RawValue;

use super::stream::{PageOutcome, Skipped, Slice, Stream, StreamContext, StreamError, StreamInfo, nothing, together};
use crate::api::Endpoint;
use crate::records::{Fields, RecordError, Rows, Table, Timestamp};

/// What is known of a stream below templates before it is read.
pub(super) const fn info(
    name: &'static str,
    table: &'static Table,
    open: fn(StreamContext) -> Arc<dyn Stream>,
) -> StreamInfo {
    StreamInfo {
        cursor: None,
        sample: nothing,
        ..StreamInfo::new(name, table, &[Endpoint::TEMPLATES], &["templates"], open)
    }
}

/// A stream whose records are parts of templates.
pub(super) struct TemplateParts<const ENDPOINTS: usize> {
    pub(super) context: StreamContext,
    /// What the endpoints below a template do not give.
    pub(super) skipped: [Skipped; ENDPOINTS],
    /// Requests the parts of a template.
    pub(super) rows_of: for<'r> fn(&'r Self, Parent) -> BoxFuture<'r, Result<Rows, StreamError>>,
}

impl<const ENDPOINTS: usize> Stream for TemplateParts<ENDPOINTS> {
    /// A page of templates; the parts of those that are due are requested side by side.
    fn fetch(self: Arc<Self>, slice: Slice) -> BoxFuture<'static, Result<PageOutcome, StreamError>> {
        Box::pin(async move {
            let shape = |page: Vec<Fields<'_>>| page.into_iter().map(Parent::of).collect();
            let (mut due, rest): (Vec<Parent>, _) =
                self.context.page(&slice, slice.page_of(self.context.list(), None), shape).await?;
            due.retain(|parent| parent.updated_at >= self.context.changed_since);
            let parts = try_join_all(due.into_iter().map(|parent| (self.rows_of)(&self, parent))).await?;
            Ok(PageOutcome { rows: together(parts), rest, ..PageOutcome::default() })
        })
    }

    fn skipped(&self) -> Vec<&Skipped> {
        self.skipped.iter().collect()
    }
}

/// What is kept of a template while its parts are requested.
pub(super) struct Parent {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) roles: Option<Box<RawValue>>,
    pub(super) settings: Option<Box<RawValue>>,
    pub(super) updated_at: Timestamp,
}

impl Parent {
    pub(super) fn of(template: Fields<'_>) -> Result<Self, RecordError> {
        let id = template.id()?;
        Ok(Self {
            name: template.text("name").map(String::from),
            roles: template.get("roles").map(ToOwned::to_owned),
            settings: template.get("settings").map(ToOwned::to_owned),
            updated_at: template.times(&id)?.changed,
            id: id.into_owned(),
        })
    }
}
