//! Live and external streams.

use serde_json::{Value, json};

use super::recordings::asset_fields;
use super::{members, null_or_absent, to_json};
use crate::workspace::Workspace;
use crate::workspace::broadcasts::Kind;
use crate::workspace::model::{Broadcast, Time};

/// As the list or the single stream says it.
pub(crate) fn broadcast(workspace: &Workspace, kind: Kind, broadcast: &Broadcast, with_assets: bool) -> Vec<u8> {
    let readings = &workspace.readings;
    let write = |time: Option<Time>| time.map(|time| Value::from(readings.write(time)));
    let mut fields = members(json!({
        "id": broadcast.id,
        "room_id": broadcast.room_id,
        "session_id": broadcast.session_id,
        "status": broadcast.status,
        "meeting_url": broadcast.meeting_url,
        "destination": broadcast.destination,
        "recording": broadcast.recording,
        "recording_assets": null,
        "created_at": readings.write_created_at(broadcast.id, broadcast.created_at),
        "started_at": write(broadcast.started_at),
        "stopped_at": write(broadcast.stopped_at),
        "updated_at": readings.write_updated_at(broadcast.id, broadcast.created_at, said_updated_at(workspace, broadcast)),
        "started_by": broadcast.started_by,
        "stopped_by": broadcast.stopped_by,
    }));
    match kind {
        Kind::Live => {
            let playback = broadcast.playback_url.as_ref().map(|url| json!({"url": url}));
            fields.insert("playback".to_owned(), playback.into());
        }
        Kind::External => {
            fields.insert("rtmp_urls".to_owned(), broadcast.rtmp_urls.clone());
            fields.insert("resolution".to_owned(), broadcast.resolution.clone());
        }
    }
    if with_assets {
        let assets = workspace.assets_of(broadcast.id);
        let assets = assets.map(|asset| asset_fields(&asset, readings)).collect();
        fields.insert("recording_assets".to_owned(), assets);
    }
    null_or_absent(&mut fields, broadcast.id);
    to_json(&fields)
}

pub(crate) fn said_updated_at(workspace: &Workspace, broadcast: &Broadcast) -> Time {
    let own = broadcast.updated_at;
    let newest = workspace.assets_of(broadcast.id).next_back();
    match newest.filter(|_| workspace.readings.late_assets_touch_recording) {
        Some(asset) => own.max(asset.created_at),
        None => own,
    }
}
