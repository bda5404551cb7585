//! Where a template sends its rooms: streams, recordings, transcripts.

use serde_json::{Map, Value, json};

use super::model::{Destinations, Template};
use super::random::Random;
use super::words;

/// Names that people give; most are ids made by the dashboard.
const NAMES: &[&str] = &["social", "Main stage", "прямой эфир", "backup.eu/1", "录制"];

pub(crate) fn of_every_kind(random: &mut Random) -> Destinations {
    let mut all = Destinations::default();
    for kind in 0..KINDS {
        insert(random, &mut all, kind);
        insert(random, &mut all, kind);
    }
    all
}

pub(crate) fn some(random: &mut Random) -> Destinations {
    let mut some = Destinations::default();
    for kind in 0..KINDS {
        for _ in 0..random.below(3) {
            insert(random, &mut some, kind);
        }
    }
    some
}

pub(crate) fn add(random: &mut Random, destinations: &mut Destinations) {
    let kind = random.below(KINDS);
    insert(random, destinations, kind);
}

/// Takes one away, of the first kind that has any.
pub(crate) fn remove(random: &mut Random, destinations: &mut Destinations) {
    for part in [&mut destinations.rtmp, &mut destinations.hls, &mut destinations.browser_recordings] {
        let position = random.below(part.len());
        if let Some(key) = part.keys().nth(position).cloned() {
            part.remove(&key);
            return;
        }
    }
}

const KINDS: usize = 5;

fn insert(random: &mut Random, destinations: &mut Destinations, kind: usize) {
    let key = if random.chance(0.3) { random.pick(NAMES).to_owned() } else { random.hex(24) };
    let name = if random.chance(0.8) { key.clone() } else { words::topic(random, kind) };
    let (part, config): (&mut Map<String, Value>, Value) = match kind {
        0 => (&mut destinations.rtmp, rtmp(random, &name)),
        1 => (&mut destinations.hls, hls(random, &name)),
        2 => (&mut destinations.transcriptions, transcription(random, &name)),
        3 => (&mut destinations.browser_recordings, browser_recording(random, &name)),
        _ => (&mut destinations.simulcasts, json!({"name": name, "layers": 3})),
    };
    part.insert(key, config);
}

fn rtmp(random: &mut Random, name: &str) -> Value {
    let mut config = json!({
        "width": 1280,
        "height": 720,
        "maxDuration": 7200,
        "autoStopTimeout": 300,
        "recordingEnabled": random.chance(0.5),
        "rtmpUrls": rtmp_urls(random),
    });
    if random.chance(0.8) {
        config["name"] = name.into();
    }
    if random.chance(0.3) {
        config["role"] = random.pick(words::ROLES).into();
    }
    config
}

/// The stream key is the last segment of the path; some services put another into the query.
pub(crate) fn rtmp_urls(random: &mut Random) -> Value {
    let key = random.secret("stream");
    match random.below(4) {
        0 => json!([]),
        1 => json!([format!("rtmp://a.rtmp.example.com/live2/{key}")]),
        2 => json!([
            format!("rtmps://live.example.com:443/rtmp/{key}?s_bl=1&auth={}", random.secret("stream")),
            format!("rtmp://b.example.com/app/instance/{}", random.secret("stream")),
        ]),
        _ => json!([format!("rtmp://c.example.com/{key}?"), "rtmp://d.example.com/app"]),
    }
}

fn hls(random: &mut Random, name: &str) -> Value {
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
    if random.chance(0.4) {
        config["recording"]["upload"] = json!({
            "type": "gs",
            "location": "hls-archive",
            "credentials": {
                "key": random.secret("storage-key"),
                "secretKey": random.secret("storage-secret"),
                "session": {"tokens": [random.secret("storage-session")]},
            },
        });
    }
    config
}

fn transcription(random: &mut Random, name: &str) -> Value {
    json!({
        "name": name,
        "role": random.pick(words::ROLES),
        "modes": ["recorded"],
        "outputModes": ["txt", "srt", "json"],
        "customVocabulary": ["100ms", words::person(random)],
        "summary": {"enabled": true, "temperature": 0.5, "context": "line\u{2028}separator"},
    })
}

fn browser_recording(random: &mut Random, name: &str) -> Value {
    let mut config = json!({
        "name": name,
        "role": random.pick(words::ROLES),
        "width": 1920,
        "height": 1080,
        "maxDuration": 7200,
        "presignDuration": 259_200,
        "thumbnails": {"enabled": true, "width": 300, "offsets": [2, 10]},
    });
    if random.chance(0.5) {
        config["meeting_url"] = meeting_url(random).into();
    }
    config
}

/// The page a recording bot opens: mostly with a token that lets it in, at any place of the query.
pub(crate) fn meeting_url(random: &mut Random) -> String {
    let page = match random.below(2) {
        0 => format!("https://demo.app.100ms.live/preview/{}/beam", random.hex(24)),
        _ => format!("https://demo.app.100ms.live/meeting/{}", random.room_code()),
    };
    let token = random.secret("meeting");
    match random.below(5) {
        0 => page,
        1 => format!("{page}?skip_preview=true"),
        2 => format!("{page}?token={token}"),
        3 => format!("{page}?skip_preview=true&token={token}&name=%F0%9F%8E%A5"),
        _ => format!("{page}?token={token}#lobby"),
    }
}

/// What replaces `browserRecordings`: an array whose entries may or may not have a name.
pub(crate) fn recording_configurations(random: &mut Random, number: usize) -> Vec<Value> {
    let count = if number == 0 { 3 } else { random.below(4) };
    (0..count).map(|position| recording_configuration(random, position)).collect()
}

fn recording_configuration(random: &mut Random, position: usize) -> Value {
    let mut config = match position {
        0 => json!({"compositeRecording": {
            "browserRecording": {"width": 1280, "height": 720, "thumbnails": null},
            "maxDuration": 7200,
        }}),
        1 => json!({"trackRecording": {"audio": true, "video": random.chance(0.5)}}),
        _ => json!({"streamRecording": {"enabled": true}, "upload": {
            "type": "s3",
            "credentials": {"key": random.secret("storage-key")},
        }}),
    };
    if random.chance(0.6) {
        config["name"] = format!("recording {position} {}", words::person(random)).into();
    }
    if random.chance(0.5) {
        config["role"] = random.pick(words::ROLES).into();
    }
    config
}

impl Template {
    /// All there is under a template, each with its type and the id that tells it from the others of
    /// its type. The kind that no document knows is left out unless it is asked for.
    pub(crate) fn every_destination(&self, with_unknown: bool) -> Vec<(&'static str, String, &Value)> {
        let Destinations { rtmp, hls, transcriptions, browser_recordings, simulcasts } = &self.destinations;
        let mut parts = vec![
            ("rtmp", rtmp),
            ("hls", hls),
            ("transcription", transcriptions),
            ("browser_recording", browser_recordings),
        ];
        parts.extend(with_unknown.then_some(("simulcasts", simulcasts)));
        let of_part = |(kind, part)| {
            let part: &Map<String, Value> = part;
            part.iter().map(move |(key, config)| (kind, key.clone(), config))
        };
        let mut all: Vec<_> = parts.into_iter().flat_map(of_part).collect();
        for (position, config) in self.recordings.iter().enumerate() {
            let id = config["name"].as_str().map_or(position.to_string(), str::to_owned);
            all.push(("recording", id, config));
        }
        let upload = &self.settings["recording"]["upload"];
        all.extend(upload.is_object().then(|| ("recording_storage", "upload".to_owned(), upload)));
        all
    }

    /// The keys of `templates_destinations`.
    pub(crate) fn destination_keys(&self, with_unknown: bool) -> Vec<String> {
        let all = self.every_destination(with_unknown).into_iter();
        all.map(|(kind, id, _)| format!("{}|{kind}|{id}", self.id)).collect()
    }
}
