//! `live_streams` and `external_streams`: as recordings, with their files and the file that matters most.

use serde_json::{Value, json};

use super::Expected;
use super::mask::{masked, masked_meeting_url, masked_rtmp_urls};
use super::recordings::{expect_asset, in_order, last_change, primary};
use crate::answers;
use crate::workspace::Workspace;
use crate::workspace::broadcasts::Kind;
use crate::workspace::model::{Broadcast, Time};

pub(super) fn records(workspace: &Workspace, kind: Kind) -> Vec<Expected> {
    let expect = |broadcast| expect_broadcast(workspace, kind, broadcast);
    workspace.broadcasts(kind).iter().map(expect).collect()
}

fn expect_broadcast(workspace: &Workspace, kind: Kind, broadcast: &Broadcast) -> Expected {
    let readings = &workspace.readings;
    let assets = in_order(workspace, broadcast.id);
    let said = answers::broadcasts::said_updated_at(workspace, broadcast);
    let changed_at = readings.known_change(broadcast.id, broadcast.created_at, said);
    let updated_at = readings.emitted(last_change(changed_at, &assets, readings));
    let emitted = |time: Option<Time>| time.map(|time| readings.emitted(time));
    let primary = primary(&assets);
    let mut record = json!({
        "id": broadcast.id,
        "room_id": broadcast.room_id,
        "session_id": broadcast.session_id,
        "status": broadcast.status,
        "created_at": readings.emitted(readings.known_creation(broadcast.id, broadcast.created_at)),
        "started_at": emitted(broadcast.started_at),
        "stopped_at": emitted(broadcast.stopped_at),
        "updated_at": updated_at,
        "started_by": broadcast.started_by,
        "stopped_by": broadcast.stopped_by,
        "meeting_url": broadcast.meeting_url.as_deref().map(masked_meeting_url),
        "destination": broadcast.destination,
        "recording": masked(&broadcast.recording),
        "recording_assets": assets.iter().map(|asset| expect_asset(asset, readings)).collect::<Value>(),
        "duration": primary.map(|asset| &asset.duration),
        "size": primary.and_then(|asset| asset.size),
        "path": primary.and_then(|asset| asset.path.as_deref()),
        "url": primary.and_then(answers::recordings::presigned_url),
    });
    match kind {
        Kind::Live => record["playback_url"] = broadcast.playback_url.as_deref().map(masked_meeting_url).into(),
        Kind::External => {
            record["rtmp_urls"] = masked_rtmp_urls(&broadcast.rtmp_urls);
            record["resolution"] = broadcast.resolution.clone();
        }
    }
    Expected { key: broadcast.id.to_string(), cursor: Some(updated_at), record }
}
