//! The controls for those who cannot call the library: `/__control/…`, without a token.
//!
//! | request | answer |
//! |---|---|
//! | `POST /__control/advance` | one round of changes: the keys touched |
//! | `GET /__control/truth?start_date=` | the expected records |
//! | `GET /__control/requests` | counts by route and status, and what was unexpected |
//! | `POST /__control/reset` | forgets the requests |
//! | `GET /__control/secrets` | what must never leave a connector |

use chrono::DateTime;
use serde::Serialize;
use serde_json::json;

use crate::server::request::Request;
use crate::server::response::{Refusal, Response};
use crate::state::State;
use crate::truth::Truth;

pub(crate) const PREFIX: &str = "/__control/";

pub(crate) fn answer(request: &Request, state: &State) -> Response {
    match act(request, state) {
        Ok(body) => Response::json(200, body, None),
        Err(refusal) => Response::json(refusal.status, refusal.body(), None),
    }
}

fn act(request: &Request, state: &State) -> Result<Vec<u8>, Refusal> {
    let action = request.path.strip_prefix(PREFIX).unwrap_or("");
    Ok(match (request.method.as_str(), action) {
        ("POST", "advance") => to_json(&state.workspace_mut().advance()),
        ("GET", "truth") => {
            let start_date = start_date(&request.query)?;
            to_json(&Truth::of(&state.workspace(), start_date, |_| true))
        }
        ("GET", "requests") => requests(state),
        ("POST", "reset") => {
            state.journal().reset();
            to_json(&json!({}))
        }
        ("GET", "secrets") => to_json(&secrets(state)),
        _ => {
            let expected = "POST advance, GET truth, GET requests, POST reset or GET secrets";
            return Err(Refusal::new(404, format!("no such control: expected {expected}")));
        }
    })
}

/// Everything that must never leave a connector.
pub(crate) fn secrets(state: &State) -> Vec<String> {
    let mut secrets = state.workspace().planted.clone();
    secrets.extend(state.planter().planted.iter().cloned());
    secrets.append(&mut state.keyring().secrets());
    secrets
}

fn requests(state: &State) -> Vec<u8> {
    let journal = state.journal();
    to_json(&json!({
        "requests": journal.counts(),
        "total": journal.total(),
        "max_in_flight": journal.max_in_flight(),
        "unexpected": journal.unexpected(),
    }))
}

fn start_date(query: &str) -> Result<Option<crate::workspace::model::Time>, Refusal> {
    let Some(text) = query.strip_prefix("start_date=") else {
        return Ok(None);
    };
    let time = DateTime::parse_from_rfc3339(&text.replace("%3A", ":"));
    match time {
        Ok(time) => Ok(Some(time.to_utc())),
        Err(_) => Err(Refusal::new(400, "start_date: expected a time such as `2025-06-15T12:00:00Z`")),
    }
}

#[expect(clippy::expect_used, reason = "text keys and finite numbers always make JSON")]
fn to_json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("JSON")
}
