//! Any text as a value of the API: no panic, one line of JSON, no secret in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use source_100ms::streams::written_as_object;

/// Stands for a secret; no input holds it by chance.
const PLANTED: &str = "pl4nted-5ecret";
/// The line breaks of readers that split more than `\n`: U+0085, U+2028, U+2029.
const BREAKS: [&[u8]; 5] = [b"\n", b"\r", &[0xc2, 0x85], &[0xe2, 0x80, 0xa8], &[0xe2, 0x80, 0xa9]];

fuzz_target!(|item: &str| {
    if item.contains(PLANTED) {
        return;
    }
    check(item);
    let Some(open) = opened(item) else { return };
    for secret in [r#""credentials":{"secret":"*"}"#, r#""headers":["*"]"#, r#""appSecret":"*""#, r#""u":"rtmp://h/a/*""#] {
        check(&format!("{open}{}}}", secret.replace('*', PLANTED)));
    }
});

fn check(item: &str) {
    let Some(line) = written_as_object(item) else { return };
    for bytes in BREAKS {
        assert!(!contains(&line, bytes), "the line is broken by {bytes:x?}");
    }
    serde_json::from_slice::<&RawValue>(&line).unwrap_or_else(|error| panic!("{error}"));
    assert!(!contains(&line, PLANTED.as_bytes()), "{}", String::from_utf8_lossy(&line));
}

/// The text of an object up to where another field can be added.
fn opened(item: &str) -> Option<String> {
    serde_json::from_str::<&RawValue>(item).ok().filter(|raw| raw.get().starts_with('{'))?;
    let open = item.trim_end().strip_suffix('}')?.trim_end();
    Some(if open.ends_with('{') { open.to_owned() } else { format!("{open},") })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
