//! Any text as a state file and as a catalog file: no panic, and every fault is told on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_100ms::airbyte::{parse_json, read_catalog, read_states};

fuzz_target!(|text: &str| {
    let value = match parse_json(text) {
        Ok(value) => value,
        Err(error) => return check(&error),
    };
    read_states(&value, &["rooms"]).err().iter().for_each(check);
    read_catalog(&value).err().iter().for_each(check);
});

fn check(sentence: &String) {
    assert!(!sentence.is_empty() && !sentence.contains(['\n', '\r']), "{sentence:?}");
}
