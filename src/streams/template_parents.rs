//! What the streams below templates have in common: the templates that are read, each asked for its parts.

use futures_util::future::try_join_all;
use serde_json::value::RawValue;

use super::stream::{PageOutcome, Slice, StreamContext, StreamError};
use crate::api::Endpoint;
use crate::records::{Fields, RecordError, Rows, Timestamp};

/// The one phase of these streams.
pub(super) const PHASES: &[&str] = &["templates"];

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

/// A page of templates; `rows_of` those that are due are fetched in parallel.
pub(super) async fn fetch<'r, F>(
    context: &'r StreamContext,
    slice: &Slice,
    rows_of: impl Fn(Parent) -> F,
) -> Result<PageOutcome, StreamError>
where
    F: Future<Output = Result<Rows, StreamError>> + 'r,
{
    let shape = |page: Vec<Fields<'_>>| page.into_iter().map(Parent::of).collect::<Result<Vec<_>, _>>();
    let page = context.client.list::<Fields<'static>, _>(slice.page_of(Endpoint::TEMPLATES, None), shape).await?;
    let due = page.content?.into_iter().filter(|parent| parent.updated_at >= context.changed_since);
    let mut rows = Rows::default();
    for of_one in try_join_all(due.map(rows_of)).await? {
        rows.append(of_one);
    }
    Ok(PageOutcome { rows, rest: slice.rest(page.next), ..PageOutcome::default() })
}
