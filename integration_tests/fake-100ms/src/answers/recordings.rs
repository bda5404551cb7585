//! Recordings, their assets, and links to the files.

use serde_json::{Value, json};

use super::{members, null_or_absent, to_json, unknown_fields};
use crate::readings::Readings;
use crate::workspace::Workspace;
use crate::workspace::model::{Asset, Recording, Time};

/// As the list or, with its assets, the single recording says it.
pub(crate) fn recording(workspace: &Workspace, recording: &Recording, with_assets: bool) -> Vec<u8> {
    let readings = &workspace.readings;
    let write = |time: Option<Time>| time.map(|time| Value::from(readings.write(time)));
    let mut fields = members(json!({
        "id": recording.id,
        "room_id": recording.room_id,
        "session_id": recording.session_id,
        "status": recording.status,
        "meeting_url": recording.meeting_url,
        "destination": recording.destination,
        "asset_types": recording.asset_types,
        "created_at": readings.write_created_at(recording.id, recording.created_at),
        "started_at": write(recording.started_at),
        "stopped_at": write(recording.stopped_at),
        "updated_at": readings.write_updated_at(recording.id, recording.created_at, said_updated_at(workspace, recording)),
        "started_by": recording.started_by,
        "stopped_by": recording.stopped_by,
    }));
    if with_assets {
        let assets = workspace.assets_of(recording.id);
        let assets = assets.map(|asset| asset_fields(&asset, readings)).collect();
        fields.insert("recording_assets".to_owned(), assets);
    }
    null_or_absent(&mut fields, recording.id);
    to_json(&fields)
}

pub(crate) fn said_updated_at(workspace: &Workspace, recording: &Recording) -> Time {
    let own = recording.updated_at;
    let newest = workspace.assets_of(recording.id).next_back();
    match newest.filter(|_| workspace.readings.late_assets_touch_recording) {
        Some(asset) => own.max(asset.created_at),
        None => own,
    }
}

pub(crate) fn asset(asset: &Asset, readings: &Readings) -> Vec<u8> {
    to_json(&asset_fields(asset, readings))
}

pub(super) fn asset_fields(asset: &Asset, readings: &Readings) -> Value {
    let mut fields = members(json!({
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
        "created_at": readings.write_created_at(asset.id, asset.created_at),
    }));
    null_or_absent(&mut fields, asset.id);
    if readings.unknown_entry_fields {
        fields.extend(unknown_fields());
    }
    Value::Object(fields)
}

/// The link to an asset's file, the same whenever it is asked for; `None` when the file is gone.
pub(crate) fn presigned_url(asset: &Asset) -> Option<String> {
    let path = asset.path.as_deref().filter(|_| !asset.file_gone)?;
    let path = path.replace(' ', "%20").replace('é', "%C3%A9");
    Some(format!(
        "https://recordings.example-storage.com/{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Expires=259200&X-Amz-Signature={:014x}",
        asset.id.scrambled()
    ))
}

/// `/v2/recording-assets/{id}/presigned-url`
pub(crate) fn presigned_answer(asset: &Asset, readings: &Readings, expiry: Time) -> Option<Vec<u8>> {
    let url = presigned_url(asset)?;
    Some(to_json(&json!({
        "id": asset.id,
        "path": asset.path,
        "url": url,
        "expiry": readings.write(expiry),
    })))
}
