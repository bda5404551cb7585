//! `templates` and its two children, which follow the template's `updated_at`.

use serde_json::{Value, json};

use super::Expected;
use super::mask::masked;
use crate::answers;
use crate::readings::Readings;
use crate::workspace::Workspace;
use crate::workspace::model::Template;

pub(super) fn templates(workspace: &Workspace) -> Vec<Expected> {
    let expect = |template| expect_template(workspace, template);
    workspace.templates.iter().map(expect).collect()
}

fn expect_template(workspace: &Workspace, template: &Template) -> Expected {
    let readings = &workspace.readings;
    let updated_at = updated_at(template, readings);
    let destinations = answers::templates::inline_destinations(template, readings);
    let record = json!({
        "id": template.id,
        "name": template.name,
        "default": template.default,
        "customer_id": workspace.account.customer_id,
        "app_id": template.app_id,
        "roles": masked(&template.roles),
        "settings": masked(&template.settings),
        "destinations": destinations.map(|value| masked(&value)),
        "plugins": masked(&template.plugins),
        "created_at": readings.emitted(readings.known_creation(template.id, template.created_at)),
        "updated_at": updated_at,
    });
    Expected { key: template.id.to_string(), cursor: Some(updated_at), record }
}

fn updated_at(template: &Template, readings: &Readings) -> String {
    readings.emitted(readings.known_change(template.id, template.created_at, template.updated_at))
}

pub(super) fn settings(workspace: &Workspace) -> Vec<Expected> {
    let expect = |template: &Template| {
        let updated_at = updated_at(template, &workspace.readings);
        Expected {
            key: template.id.to_string(),
            cursor: Some(updated_at.clone()),
            record: json!({
                "template_id": template.id,
                "template_name": template.name,
                "roles": masked(&template.roles),
                "settings": masked(&template.settings),
                "updated_at": updated_at,
            }),
        }
    };
    workspace.templates.iter().map(expect).collect()
}

pub(super) fn destinations(workspace: &Workspace) -> Vec<Expected> {
    let expect = |template| expect_destinations(template, &workspace.readings);
    workspace.templates.iter().flat_map(expect).collect()
}

fn expect_destinations(template: &Template, readings: &Readings) -> Vec<Expected> {
    let all = template.every_destination(readings.unknown_destination_kind);
    all.into_iter().map(|(kind, id, config)| expect_destination(template, readings, kind, &id, config)).collect()
}

fn expect_destination(template: &Template, readings: &Readings, kind: &str, id: &str, config: &Value) -> Expected {
    Expected {
        key: format!("{}|{kind}|{id}", template.id),
        cursor: Some(updated_at(template, readings)),
        record: json!({
            "template_id": template.id,
            "destination_type": kind,
            "id": id,
            "name": config["name"],
            "role": config["role"],
            "config": masked(config),
        }),
    }
}
