//! Templates and their destinations.

use serde_json::{Map, Value, json};

use super::{members, null_or_absent, to_json};
use crate::readings::{MissingPart, Readings, Spelling};
use crate::workspace::Account;
use crate::workspace::model::{Destinations, NoDestinations, Template};

pub(crate) fn template(template: &Template, account: &Account, readings: &Readings) -> Vec<u8> {
    let camel = match readings.template_spelling {
        Spelling::Camel => true,
        Spelling::Snake => false,
        Spelling::Mixed => template.id.scrambled() % 8 < 4,
    };
    let spell = |camel_case: &str, snake_case: &str| {
        let name = if camel { camel_case } else { snake_case };
        name.to_owned()
    };
    let mut fields = members(json!({
        "id": template.id,
        "_id": template.id,
        "name": template.name,
        "default": template.default,
        "customer": account.customer_id,
        spell("customerId", "customer_id"): account.customer_id,
        spell("appId", "app_id"): template.app_id,
        "roles": template.roles,
        "settings": template.settings,
        "plugins": template.plugins,
        spell("createdAt", "created_at"): readings.write_created_at(template.id, template.created_at),
        spell("updatedAt", "updated_at"): readings.write_updated_at(template.id, template.created_at, template.updated_at),
    }));
    null_or_absent(&mut fields, template.id);
    if let Some(destinations) = inline_destinations(template, readings) {
        fields.insert("destinations".to_owned(), destinations);
    }
    to_json(&fields)
}

/// What the template itself holds under `destinations`.
pub(crate) fn inline_destinations(template: &Template, readings: &Readings) -> Option<Value> {
    let parts = shown_parts(&template.destinations, readings);
    if parts.iter().any(|(_, part)| !part.is_empty()) {
        return Some(destinations(&template.destinations, readings));
    }
    match template.no_destinations {
        NoDestinations::Null => Some(Value::Null),
        NoDestinations::Empty => Some(json!({})),
        NoDestinations::Absent => None,
    }
}

/// `/v2/templates/{id}/destinations`
pub(crate) fn destinations(destinations: &Destinations, readings: &Readings) -> Value {
    let mut answer = Map::new();
    for (name, part) in shown_parts(destinations, readings) {
        let said = match readings.missing_destinations {
            _ if !part.is_empty() => Value::Object(part.clone()),
            MissingPart::Absent => continue,
            MissingPart::Null => Value::Null,
            MissingPart::EmptyObject => json!({}),
        };
        answer.insert(name.to_owned(), said);
    }
    Value::Object(answer)
}

/// The same with the kinds in snake case besides.
pub(crate) fn in_both_spellings(mut destinations: Value) -> Value {
    let kinds = destinations.as_object_mut().into_iter();
    for kinds in kinds {
        for kind in ["rtmp", "hls"] {
            if let Some(part) = kinds.get(&format!("{kind}Destinations")).cloned() {
                kinds.insert(format!("{kind}_destinations"), part);
            }
        }
    }
    destinations
}

/// The kinds that exist under these readings, by the API's names.
pub(crate) fn shown_parts<'a>(
    destinations: &'a Destinations,
    readings: &Readings,
) -> Vec<(&'static str, &'a Map<String, Value>)> {
    let mut parts = vec![
        ("rtmpDestinations", &destinations.rtmp),
        ("hlsDestinations", &destinations.hls),
        ("transcriptions", &destinations.transcriptions),
        ("browserRecordings", &destinations.browser_recordings),
    ];
    if readings.unknown_destination_kind {
        parts.push(("simulcasts", &destinations.simulcasts));
    }
    parts
}
