//! What the streams below templates have in common: the templates that are read, each asked for its parts.

use futures_util::future::try_join_all;
use serde_json::value::RawValue;

use super::contract::{Reading, RecordError, Step, StreamError};
use super::record::{Rows, fill_times, id, record};
use super::slice::Slice;
use super::time::{Time, Timestamp};
use super::values::{Object, Text, text};
use crate::api::List;

record! {
    /// What is read of a template.
    ParentTemplate {
        id: Text<'a> = "id" | "_id",
        name: Text<'a>,
        roles: Object<'a>,
        settings: Object<'a>,
        created_at: Time = "created_at" | "createdAt",
        updated_at: Time = "updated_at" | "updatedAt",
    }
}

/// What is kept of a template while its parts are asked for.
pub(super) struct Parent {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) roles: Option<Box<RawValue>>,
    pub(super) settings: Option<Box<RawValue>>,
    pub(super) updated_at: Timestamp,
}

impl Parent {
    pub(super) fn of(mut template: ParentTemplate<'_>) -> Result<Self, RecordError> {
        let id = id(template.id.0)?.into_owned();
        let times = fill_times(&id, &mut template.created_at, &mut template.updated_at)?;
        Ok(Self {
            id,
            name: text(template.name.0).map(String::from),
            roles: template.roles.0.map(ToOwned::to_owned),
            settings: template.settings.0.map(ToOwned::to_owned),
            updated_at: times.changed,
        })
    }
}

/// A page of templates; `rows_of` those that are due are fetched side by side.
pub(super) async fn fetch<'r, F>(
    reading: &'r Reading,
    slice: &Slice,
    rows_of: impl Fn(Parent) -> F,
) -> Result<Step, StreamError>
where
    F: Future<Output = Result<Rows, StreamError>> + 'r,
{
    let shape = |page: Vec<ParentTemplate<'_>>| page.into_iter().map(Parent::of).collect::<Result<Vec<_>, _>>();
    let page = reading.client.list::<ParentTemplate<'static>, _>(List::TEMPLATES, &slice.page(), shape).await?;
    let due = page.content?.into_iter().filter(|parent| parent.updated_at >= reading.due);
    let mut rows = Rows::default();
    for of_one in try_join_all(due.map(rows_of)).await? {
        rows.append(of_one);
    }
    Ok(Step { rows, rest: slice.rest(page.next), ..Step::default() })
}
