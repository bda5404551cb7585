//! The API's routes, and which answer each gives.
//!
//! - `parameters`, `page`: the rules of queries and of pages.
//! - `lists`, `broadcasts`, `events`, `webhooks`, `quality`, `children`: the answers.
//! - `shape`: answers that hold more or less than documented; `secrets`: what must not leave a connector.

mod broadcasts;
mod children;
mod events;
mod lists;
mod page;
mod parameters;
mod quality;
pub(crate) mod secrets;
mod shape;
mod webhooks;

pub(crate) use self::events::expired_cursor;

use crate::faults::Fault;
use crate::server::request::Request;
use crate::server::response::Refusal;
use crate::state::State;
use crate::workspace::Workspace;
use crate::workspace::broadcasts::Kind;

/// A body of JSON, or why there is none.
type Body = Result<Vec<u8>, Refusal>;

/// What an answer is made from.
struct Ask<'a> {
    query: &'a str,
    workspace: &'a Workspace,
    max_page: u32,
    shapes: &'a [Fault],
}

type Answer = fn(&Ask, id: &str) -> Body;

/// Every route there is: `{…}` stands for one segment, the id.
const ROUTES: &[(&str, Answer)] = &[
    ("/v2/sessions", |ask, _| lists::sessions(ask)),
    ("/v2/rooms", |ask, _| lists::rooms(ask)),
    ("/v2/active-rooms/{room_id}/peers", children::active_peers),
    ("/v2/active-rooms/{room_id}", children::active_room),
    ("/v2/templates", |ask, _| lists::templates(ask)),
    ("/v2/templates/{id}/settings", children::template_settings),
    ("/v2/templates/{id}/destinations", children::template_destinations),
    ("/v2/templates/{id}/recordings", children::template_recordings),
    ("/v2/recordings", |ask, _| lists::recordings(ask)),
    ("/v2/recordings/{id}", children::recording),
    ("/v2/recording-assets", |ask, _| lists::assets(ask)),
    ("/v2/recording-assets/{id}/presigned-url", children::presigned_url),
    ("/v2/live-streams", |ask, _| broadcasts::list(ask, Kind::Live)),
    ("/v2/live-streams/{id}", |ask, id| broadcasts::single(ask, Kind::Live, id)),
    ("/v2/external-streams", |ask, _| broadcasts::list(ask, Kind::External)),
    ("/v2/external-streams/{id}", |ask, id| broadcasts::single(ask, Kind::External, id)),
    ("/v2/analytics/events", |ask, _| events::events(ask)),
    ("/v2/analytics/webhooks", |ask, _| webhooks::deliveries(ask)),
    ("/v2/analytics/peer-stats", |ask, _| quality::peer_stats(ask)),
];

/// A request's place in the table, and the id in its path.
pub(crate) struct Route {
    pattern: &'static str,
    answer: Answer,
    id: String,
}

impl Route {
    pub(crate) fn of(path: &str) -> Option<Route> {
        ROUTES.iter().find_map(|&(pattern, answer)| {
            let id = match_path(pattern, path)?.to_owned();
            Some(Route { pattern, answer, id })
        })
    }

    pub(crate) fn pattern(&self) -> &'static str {
        self.pattern
    }
}

/// The segment that stands for `{…}`, or an empty one.
fn match_path<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let mut id = "";
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            id = segment;
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(id)
}

/// Whether a query goes on with a list.
pub(crate) fn has_start(query: &str) -> bool {
    query.split('&').any(|pair| pair.len() > "start=".len() && pair.starts_with("start="))
}

pub(crate) fn answer(
    request: &Request,
    route: Option<Route>,
    workspace: &Workspace,
    state: &State,
    shapes: &[Fault],
) -> Body {
    let route = route.ok_or_else(unknown_route)?;
    if request.method != "GET" {
        return Err(Refusal::unexpected(format!("method {}: expected GET", request.method)));
    }
    let ask = Ask { query: &request.query, workspace, max_page: state.max_page, shapes };
    let body = (route.answer)(&ask, &route.id)?;
    let token = request.bearer.as_deref().unwrap_or("");
    Ok(shape::apply(body, shapes, token, &mut state.planter()))
}

fn unknown_route() -> Refusal {
    let expected: Vec<&str> = ROUTES.iter().map(|(pattern, _)| *pattern).collect();
    let message = format!("no such route: expected one of `{}`", expected.join("`, `"));
    Refusal { status: 404, ..Refusal::unexpected(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Option<(&'static str, String)> {
        Route::of(path).map(|route| (route.pattern, route.id))
    }

    #[test]
    fn paths_find_their_patterns() {
        assert_eq!(pattern("/v2/rooms"), Some(("/v2/rooms", String::new())));
        assert_eq!(pattern("/v2/templates/abc/settings"), Some(("/v2/templates/{id}/settings", "abc".to_owned())));
        for path in ["/v2/rooms/", "/v2/rooms/abc", "/v2/recordings//", "/v2", "/"] {
            assert_eq!(pattern(path), None, "{path}");
        }
    }
}
