//! `peer_quality`: measurements of calls, and people who have none.

use std::collections::{BTreeMap, BTreeSet};

use fake_100ms::{Counts, Fault, FaultPlan, MissingStats, Readings, When};
use serde_json::{Value, json};

use crate::harness::{
    Call, STATS, assert_same_records, catalog, extra_config, fake, fake_with_of_extra_streams, read_of_extra_streams,
    read_with, requests_by_route, workspace,
};
use crate::messages::{Change, Level, Record, Transcript};

#[test]
fn peer_quality_makes_one_request_for_each_person_of_a_session_that_has_ended() {
    let fake = fake(75);
    let transcript = read_of_extra_streams(&fake, &["peer_quality"]);
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &fake.truth().streams["peer_quality"]);
    let sessions = &fake.truth().streams["sessions"];
    let ended = sessions.values().filter(|session| session["active"] == false);
    let peers: usize = ended.map(|session| session["peers"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(requests_by_route(&fake)[STATS], peers as u64);
}

#[test]
fn peers_without_measurements_cost_no_record() {
    for missing_stats in [MissingStats::NotFound, MissingStats::Empty, MissingStats::Null] {
        let readings = Readings { missing_stats, ..Readings::documented() };
        let fake = fake_with_of_extra_streams(readings.clone(), Counts { peers_with_stats: 40, ..Counts::default() });
        let transcript = read_of_extra_streams(&fake, &["peer_quality"]);
        let records = transcript.by_key("peer_quality").0;
        assert_same_records("peer_quality", &records, &fake.truth().streams["peer_quality"]);
        assert_eq!(transcript.logs(Level::Warn), [""; 0]);
        let measured: BTreeSet<_> = records.values().map(|record| record["peer_id"].to_string()).collect();
        let asked = requests_by_route(&fake)[STATS].as_u64().expect("a number") as usize;
        assert!(!measured.is_empty() && measured.len() < asked / 2, "{} of {asked}", measured.len());
        let nobody = fake_with_of_extra_streams(readings, Counts { peers_with_stats: 0, ..Counts::default() });
        let transcript = read_of_extra_streams(&nobody, &["peer_quality"]);
        // That none of them is there is worth a word.
        let warnings = usize::from(missing_stats == MissingStats::NotFound);
        let counts = (transcript.records().count(), transcript.logs(Level::Warn).len());
        assert_eq!(counts, (0, warnings), "{missing_stats:?}");
    }
}

#[test]
fn the_time_series_can_be_left_out() {
    let fake = fake(76);
    let whole = read_of_extra_streams(&fake, &["peer_quality"]).by_key("peer_quality").0;
    let columns = whole.values().next().expect("a record").as_object().expect("an object").keys();
    let kept: serde_json::Map<String, Value> =
        columns.filter(|column| *column != "time_series").map(|column| (column.clone(), json!({}))).collect();
    let mut chosen = catalog(&["peer_quality"], "full_refresh");
    chosen["streams"][0]["stream"]["json_schema"] = json!({"properties": kept});
    let transcript = Call::read(&extra_config(&fake), &chosen).run().good(&fake);
    let expected: BTreeMap<String, Value> = whole
        .into_iter()
        .map(|(key, mut record)| {
            record.as_object_mut().expect("an object").remove("time_series").expect("it was there");
            (key, record)
        })
        .collect();
    assert_same_records("peer_quality", &transcript.by_key("peer_quality").0, &expected);
}

#[test]
fn an_odd_measure_of_a_track_leaves_the_others_as_they_are() {
    let fake = workspace(94, Readings::documented());
    let columns = |transcript: &Transcript, measure: &str| {
        let record = |record: &Record| (record.key(), record.data[&format!("{measure}_mean")].clone());
        transcript.records_of("peer_quality").map(record).collect::<std::collections::BTreeMap<_, _>>()
    };
    let plain = read_with(&fake, json!({}));
    let with = |key: &str, json: &str| {
        let odd = Fault::SetMember { key: key.to_owned(), json: json.to_owned() };
        fake.set_faults(FaultPlan::new().on("/v2/analytics/peer-stats", When::Always, odd));
        read_with(&fake, json!({}))
    };
    for odd in ["null", "\"opus\"", "{\"a\":1}", "[null]", "[\"n/a\"]"] {
        let transcript = with("bitrate", odd);
        assert!(columns(&transcript, "bitrate").values().all(Value::is_null), "{odd}");
        for measure in ["fps", "rtt_ms", "jitter_ms", "packet_loss_percent"] {
            assert_eq!(columns(&transcript, measure), columns(&plain, measure), "{measure} with {odd}");
        }
        let is_told = transcript
            .records_of("peer_quality")
            .any(|record| record.changes().contains(&("bitrate_mean", Change::Nulled)));
        assert_eq!(is_told, !matches!(odd, "null" | "[null]"), "{odd}");
    }
    let as_texts = with("bitrate", "[\"1000\",2000.0,null,\" 3e3 \"]");
    let means = columns(&as_texts, "bitrate");
    assert!(means.values().any(|mean| *mean == 2000.0), "{means:?}");
    assert!(means.values().all(|mean| mean.is_null() || *mean == 2000.0), "{means:?}");
    let times = with("timestamps", "[\"1714557600000\",\"1714557610000\"]");
    for record in times.records_of("peer_quality") {
        assert_eq!(record.data["started_at"], "2024-05-01T10:00:00.000000Z");
        assert_eq!(
            (&record.data["stopped_at"], &record.data["samples"]),
            (&json!("2024-05-01T10:00:10.000000Z"), &json!(2))
        );
    }
}
