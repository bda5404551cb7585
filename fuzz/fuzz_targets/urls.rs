//! A secret in a URL never survives, whatever stands around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_100ms::streams::{mask_meeting_token, mask_stream_key};

/// Stands for a stream key or a token; no input holds it by chance.
const PLANTED: &str = "pl4nted-5ecret";

fuzz_target!(|text: &str| {
    mask_stream_key(text);
    mask_meeting_token(text);
    if text.contains(PLANTED) {
        return;
    }
    // The host and what follows the key are anything but what would make the key another part of a URL.
    let (host, query) = text.split_once('\n').unwrap_or((text, ""));
    let host = host.replace(['/', '?', '#'], "");
    let pushed = [
        format!("rtmp://{host}/{PLANTED}"),
        format!("rtmp://{host}/app/{PLANTED}?{query}"),
        format!("rtmps://{host}/app/{PLANTED}/#{query}"),
        format!("rtmp://user:{PLANTED}@{host}/app/key"),
    ];
    for url in pushed {
        let masked = mask_stream_key(&url);
        assert!(!masked.contains(PLANTED), "{url:?} became {masked:?}");
    }
    for separator in ['?', '&', '#', ';'] {
        for name in ["token", "auth_token", "Token"] {
            let url = format!("https://{text}{separator}{name}={PLANTED}&{query}");
            let masked = mask_meeting_token(&url);
            assert!(!masked.contains(PLANTED), "{url:?} became {masked:?}");
        }
    }
});
