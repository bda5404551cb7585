//! Where a template sends its rooms: streams, recordings, transcripts.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::model::Destinations;
use super::words;

/// Names that people give; most are ids made by the dashboard.
const NAMES: &[&str] = &["social", "Main stage", "прямой эфир", "backup.eu/1", "录制"];

pub(crate) fn of_every_kind(dice: &mut Dice) -> Destinations {
    let mut all = Destinations::default();
    for kind in 0..KINDS {
        insert(dice, &mut all, kind);
        insert(dice, &mut all, kind);
    }
    all
}

pub(crate) fn some(dice: &mut Dice) -> Destinations {
    let mut some = Destinations::default();
    for kind in 0..KINDS {
        for _ in 0..dice.below(3) {
            insert(dice, &mut some, kind);
        }
    }
    some
}

pub(crate) fn add(dice: &mut Dice, destinations: &mut Destinations) {
    let kind = dice.below(KINDS);
    insert(dice, destinations, kind);
}

/// Takes one away, of the first kind that has any.
pub(crate) fn remove(dice: &mut Dice, destinations: &mut Destinations) {
    for part in [&mut destinations.rtmp, &mut destinations.hls, &mut destinations.browser_recordings] {
        let position = dice.below(part.len());
        if let Some(key) = part.keys().nth(position).cloned() {
            part.remove(&key);
            return;
        }
    }
}

const KINDS: usize = 5;

fn insert(dice: &mut Dice, destinations: &mut Destinations, kind: usize) {
    let key = if dice.chance(0.3) { dice.pick(NAMES).to_owned() } else { dice.hex(24) };
    let name = if dice.chance(0.8) { key.clone() } else { words::topic(dice, kind) };
    let (part, config): (&mut Map<String, Value>, Value) = match kind {
        0 => (&mut destinations.rtmp, rtmp(dice, &name)),
        1 => (&mut destinations.hls, hls(dice, &name)),
        2 => (&mut destinations.transcriptions, transcription(dice, &name)),
        3 => (&mut destinations.browser_recordings, browser_recording(dice, &name)),
        _ => (&mut destinations.simulcasts, json!({"name": name, "layers": 3})),
    };
    part.insert(key, config);
}

fn rtmp(dice: &mut Dice, name: &str) -> Value {
    let mut config = json!({
        "width": 1280,
        "height": 720,
        "maxDuration": 7200,
        "autoStopTimeout": 300,
        "recordingEnabled": dice.chance(0.5),
        "rtmpUrls": rtmp_urls(dice),
    });
    if dice.chance(0.8) {
        config["name"] = name.into();
    }
    if dice.chance(0.3) {
        config["role"] = dice.pick(words::ROLES).into();
    }
    config
}

/// The stream key is the last segment of the path; some services put another into the query.
pub(crate) fn rtmp_urls(dice: &mut Dice) -> Value {
    let key = dice.secret("stream");
    match dice.below(4) {
        0 => json!([]),
        1 => json!([format!("rtmp://a.rtmp.example.com/live2/{key}")]),
        2 => json!([
            format!("rtmps://live.example.com:443/rtmp/{key}?s_bl=1&auth={}", dice.secret("stream")),
            format!("rtmp://b.example.com/app/instance/{}", dice.secret("stream")),
        ]),
        _ => json!([format!("rtmp://c.example.com/{key}?"), "rtmp://d.example.com/app"]),
    }
}

fn hls(dice: &mut Dice, name: &str) -> Value {
    let mut config = json!({
        "name": name,
        "maxDuration": 7200,
        "playlistType": "dvr",
        "layers": [
            {"width": 1280, "height": 720, "videoBitrate": 1500, "audioBitrate": 32},
            {"width": 480, "height": 270, "videoBitrate": 500, "audioBitrate": 32},
        ],
        "recording": {"hlsVod": true, "singleFilePerLayer": false, "presignDuration": 86400},
        "autoStopTimeout": 300,
    });
    if dice.chance(0.4) {
        config["recording"]["upload"] = json!({
            "type": "gs",
            "location": "hls-archive",
            "credentials": {
                "key": dice.secret("storage-key"),
                "secretKey": dice.secret("storage-secret"),
                "session": {"tokens": [dice.secret("storage-session")]},
            },
        });
    }
    config
}

fn transcription(dice: &mut Dice, name: &str) -> Value {
    json!({
        "name": name,
        "role": dice.pick(words::ROLES),
        "modes": ["recorded"],
        "outputModes": ["txt", "srt", "json"],
        "customVocabulary": ["100ms", words::person(dice)],
        "summary": {"enabled": true, "temperature": 0.5, "context": "line\u{2028}separator"},
    })
}

fn browser_recording(dice: &mut Dice, name: &str) -> Value {
    let mut config = json!({
        "name": name,
        "role": dice.pick(words::ROLES),
        "width": 1920,
        "height": 1080,
        "maxDuration": 7200,
        "presignDuration": 259_200,
        "thumbnails": {"enabled": true, "width": 300, "offsets": [2, 10]},
    });
    if dice.chance(0.5) {
        config["meeting_url"] = meeting_url(dice).into();
    }
    config
}

/// The page a recording bot opens: mostly with a token that lets it in, at any place of the query.
pub(crate) fn meeting_url(dice: &mut Dice) -> String {
    let page = format!("https://demo.app.100ms.live/preview/{}/beam", dice.hex(12));
    let token = dice.secret("meeting");
    match dice.below(5) {
        0 => page,
        1 => format!("{page}?skip_preview=true"),
        2 => format!("{page}?token={token}"),
        3 => format!("{page}?skip_preview=true&token={token}&name=%F0%9F%8E%A5"),
        _ => format!("{page}?token={token}#lobby"),
    }
}

/// What replaces `browserRecordings`: an array whose entries may or may not have a name.
pub(crate) fn recording_configurations(dice: &mut Dice, number: usize) -> Vec<Value> {
    let count = if number == 0 { 3 } else { dice.below(4) };
    (0..count).map(|position| recording_configuration(dice, position)).collect()
}

fn recording_configuration(dice: &mut Dice, position: usize) -> Value {
    let mut config = match position {
        0 => json!({"compositeRecording": {
            "browserRecording": {"width": 1280, "height": 720, "thumbnails": null},
            "maxDuration": 7200,
        }}),
        1 => json!({"trackRecording": {"audio": true, "video": dice.chance(0.5)}}),
        _ => json!({"streamRecording": {"enabled": true}, "upload": {
            "type": "s3",
            "credentials": {"key": dice.secret("storage-key")},
        }}),
    };
    if dice.chance(0.6) {
        config["name"] = format!("recording {position} {}", words::person(dice)).into();
    }
    if dice.chance(0.5) {
        config["role"] = dice.pick(words::ROLES).into();
    }
    config
}
