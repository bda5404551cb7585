//! `recordings`: joined with their assets, and with the link to the asset that matters most.

use serde_json::{Value, json};

use super::mask::masked_meeting_url;
use super::{Expected, entry};
use crate::answers;
use crate::readings::Readings;
use crate::workspace::Workspace;
use crate::workspace::model::{Asset, Recording, Time};
use crate::workspace::object_id::ObjectId;

pub(super) fn recordings(workspace: &Workspace) -> Vec<Expected> {
    let expect = |recording| expect_recording(workspace, recording);
    workspace.recordings.iter().map(expect).collect()
}

fn expect_recording(workspace: &Workspace, recording: &Recording) -> Expected {
    let readings = &workspace.readings;
    let assets = in_order(workspace, recording.id);
    let said = answers::recordings::said_updated_at(workspace, recording);
    let changed_at = readings.known_change(recording.id, recording.created_at, said);
    let updated_at = readings.emitted(last_change(changed_at, &assets, readings));
    let emitted = |time: Option<Time>| time.map(|time| readings.emitted(time));
    let primary = primary(&assets);
    let record = json!({
        "id": recording.id,
        "room_id": recording.room_id,
        "session_id": recording.session_id,
        "status": recording.status,
        "created_at": readings.emitted(readings.known_creation(recording.id, recording.created_at)),
        "started_at": emitted(recording.started_at),
        "stopped_at": emitted(recording.stopped_at),
        "updated_at": updated_at,
        "started_by": recording.started_by,
        "stopped_by": recording.stopped_by,
        "meeting_url": recording.meeting_url.as_deref().map(masked_meeting_url),
        "destination": recording.destination,
        "asset_types": recording.asset_types,
        "recording_assets": assets.iter().map(|asset| expect_asset(asset, readings)).collect::<Value>(),
        "duration": primary.map(|asset| &asset.duration),
        "size": primary.and_then(|asset| asset.size),
        "path": primary.and_then(|asset| asset.path.as_deref()),
        "url": primary.and_then(answers::recordings::presigned_url),
    });
    Expected { key: recording.id.to_string(), cursor: Some(updated_at), record }
}

/// Of the object or any of its files.
pub(super) fn last_change(own: Time, assets: &[Asset], readings: &Readings) -> Time {
    assets.iter().map(|asset| made_at(asset, readings)).fold(own, Time::max)
}

fn made_at(asset: &Asset, readings: &Readings) -> Time {
    readings.known_creation(asset.id, asset.created_at)
}

/// The files of a job, as their column has them: by time of creation, then by id.
pub(super) fn in_order(workspace: &Workspace, job_id: ObjectId) -> Vec<Asset> {
    let mut assets: Vec<Asset> = workspace.assets_of(job_id).collect();
    let readings = &workspace.readings;
    assets.sort_by_key(|asset| (readings.visible(made_at(asset, readings)).timestamp_micros(), asset.id));
    assets
}

pub(super) fn expect_asset(asset: &Asset, readings: &Readings) -> Value {
    entry(fields_of(asset, readings), readings)
}

/// `recording_assets`: every file, whatever it belongs to, with a link where it is finished.
pub(super) fn assets(workspace: &Workspace) -> Vec<Expected> {
    let readings = &workspace.readings;
    let expect = |asset: &Asset| {
        let asset = workspace.seen(asset);
        let mut record = fields_of(&asset, readings);
        let is_completed = asset.status == "completed";
        record["url"] = answers::recordings::presigned_url(&asset).filter(|_| is_completed).into();
        if !(asset.thumbnails.is_null() || asset.thumbnails.is_array()) {
            record["thumbnails"] = json!([asset.thumbnails]);
        }
        let cursor = Some(readings.emitted(made_at(&asset, readings)));
        Expected { key: asset.id.to_string(), cursor, record }
    };
    workspace.assets.iter().map(expect).collect()
}

fn fields_of(asset: &Asset, readings: &Readings) -> Value {
    json!({
        "id": asset.id,
        "job_id": asset.job_id,
        "room_id": asset.room_id,
        "session_id": asset.session_id,
        "type": asset.kind,
        "status": asset.status,
        "path": asset.path,
        "size": asset.size,
        "duration": asset.duration,
        "thumbnails": asset.thumbnails,
        "metadata": asset.metadata,
        "created_at": readings.emitted(made_at(asset, readings)),
    })
}

/// The first completed one of the best kind there is, else the largest completed one.
pub(super) fn primary(assets: &[Asset]) -> Option<&Asset> {
    let completed = || assets.iter().filter(|asset| asset.status == "completed");
    let best = completed().filter_map(|asset| Some((preference(asset)?, asset)));
    if let Some((_, asset)) = best.min_by_key(|(preference, _)| *preference) {
        return Some(asset);
    }
    // Of several largest the first one counts, and `max_by_key` would take the last.
    completed().rev().max_by_key(|asset| asset.size)
}

fn preference(asset: &Asset) -> Option<usize> {
    let is_layer = !asset.metadata["layer"].is_null();
    Some(match asset.kind {
        "room-composite" if !is_layer => 0,
        "room-composite" => 1,
        "room-composite-legacy" => 2,
        "room-vod" => 3,
        "stream" => 4,
        "track" => 5,
        _ => return None,
    })
}
