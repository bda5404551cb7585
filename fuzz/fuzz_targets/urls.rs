//! A secret in a URL never survives, whatever stands around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_100ms::streams::mask_text;

/// Stands for a stream key or a token; no input holds it by chance.
const PLANTED: &str = "pl4nted-5ecret";

fuzz_target!(|text: &str| {
    mask_text(text);
    // The host is anything but what would end the URL, or make the key another part of it.
    let (host, query) = text.split_once('\n').unwrap_or((text, ""));
    let ends = |letter: char| letter.is_whitespace() || letter.is_control() || "/?#\\\"'<>`".contains(letter);
    let host = host.replace(ends, "");
    // The fuzzer learns what is planted, and puts it where it is no secret.
    if host.contains(PLANTED) || query.contains(PLANTED) {
        return;
    }
    for url in [
        format!("rtmp://{host}/{PLANTED}"),
        format!("rtmp://{host}/app/{PLANTED}?{query}"),
        format!("rtmps://{host}/app/{PLANTED}/#{query}"),
        format!("rtmp://user:{PLANTED}@{host}/app/key"),
        format!("https://user:{PLANTED}@h/{query}"),
    ] {
        check(&url);
    }
    for separator in ['?', '&', '#', ';'] {
        for name in ["token", "auth_token", "X-Amz-Signature", "%74oken", "key"] {
            check(&format!("https://{host}{separator}{name}={PLANTED}&{query}"));
        }
    }
});

fn check(url: &str) {
    let masked = mask_text(url);
    assert!(!masked.contains(PLANTED), "{url:?} became {masked:?}");
}
