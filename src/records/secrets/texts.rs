//! Secrets in a text: what a URL in it lets one do, and tokens.
//!
//! The text may be a URL, hold one among other words, or be a document of its own (customers put JSON into
//! metadata), of which only the URLs and tokens are looked at here.

use std::borrow::Cow;

use super::MASK;
use super::names::is_secret_parameter;
use crate::records::time::is_object_id;

/// How often a URL is looked for inside a percent-encoded one.
const DEEPEST: u8 = 4;

/// `text` with its secrets masked:
///
/// - the stream key of an RTMP URL, which is its last segment, and its query;
/// - the user and password in front of a host;
/// - the parameters of a URL, or of the end of one, that name a token or a signature;
/// - room codes in the links of 100ms and in links of that form;
/// - JSON Web Tokens, wherever they stand.
pub fn mask_text(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !may_hold_secret(text) { Cow::Borrowed(text) } else { masked(text, 0) }
}

/// Whether a text passes at a glance: most have none of the letters that a secret or an escape needs.
pub(super) fn is_plain(text: &str) -> bool {
    let is_telling = |byte: &u8| matches!(byte, b'\\' | b':' | b'=' | b'%' | b'.');
    // In pieces, without a branch for each byte: the compiler makes vector instructions of it.
    !text.as_bytes().chunks(32).any(|piece| piece.iter().fold(false, |seen, byte| seen | is_telling(byte)))
}

/// Whether a text may hold a secret. It may if it has one of these; what has none is passed on unread.
pub(super) fn may_hold_secret(text: &str) -> bool {
    ["://", ":\\/", "eyJ", "%3", "%25"].iter().any(|sign| text.contains(sign))
        || text.find(is_delimiter).is_some_and(|at| text[at..].contains('='))
        || is_of_100ms(text)
}

/// Whether a text mentions the domain of 100ms, under which all links stand that let somebody into a room.
fn is_of_100ms(text: &str) -> bool {
    const DOMAIN: &str = "100ms.live";
    let begins = |at: usize| text.get(at..at + DOMAIN.len()).is_some_and(|part| part.eq_ignore_ascii_case(DOMAIN));
    memchr::memchr_iter(b'1', text.as_bytes()).any(begins)
}

fn is_delimiter(letter: char) -> bool {
    matches!(letter, '?' | '&' | '#' | ';')
}

fn masked(text: &str, depth: u8) -> Cow<'_, str> {
    // A document in the text may write its slashes as `\/`.
    let plain = if text.contains("\\/") { Cow::Owned(text.replace("\\/", "/")) } else { Cow::Borrowed(text) };
    let mask = |run: &str, out: &mut String| mask_run(run, depth, out);
    let is_one_url = begins_with_scheme(&plain) && !plain.contains(ends_url);
    let masked = if is_one_url { by_runs(&plain, |_| false, mask) } else { by_runs(&plain, ends_text, mask) };
    if masked == plain { Cow::Borrowed(text) } else { Cow::Owned(masked) }
}

/// `text` with every run between the letters that end one as `mask` writes it.
fn by_runs(text: &str, ends: fn(char) -> bool, mask: impl Fn(&str, &mut String)) -> String {
    let mut masked = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends) {
        let run = piece.trim_end_matches(ends);
        mask(run, &mut masked);
        masked.push_str(&piece[run.len()..]);
    }
    masked
}

/// Ends a URL that is all there is of a text.
fn ends_url(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control()
}

/// Ends a URL that stands among other text.
fn ends_text(letter: char) -> bool {
    ends_url(letter) || matches!(letter, '"' | '\'' | '<' | '>' | '\\' | '`')
}

/// Masks a piece of text without blanks.
fn mask_run(run: &str, depth: u8, out: &mut String) {
    let mut rest = run;
    while may_hold_secret(rest) {
        // `rtmp` and its kin (`rtmps`, `rtmpt`, …): the last segment of the path is the stream key.
        let ingest = schemes(rest).find(|(_, scheme)| scheme.to_ascii_lowercase().contains("rtmp"));
        let begins = ingest.map_or(rest.len(), |(begins, _)| begins);
        let ends = ingest.map_or(rest.len(), |(begins, scheme)| end_of_ingest(rest, begins + scheme.len()));
        mask_parameters(&mask_users(&rest[..begins]), depth, out);
        out.push_str(&mask_stream_key(&rest[begins..ends]));
        rest = &rest[ends..];
    }
    out.push_str(rest);
}

/// The schemes in `run`, and where each begins.
fn schemes(run: &str) -> impl Iterator<Item = (usize, &str)> {
    run.match_indices("://").map(|(ends, _)| {
        let begins = ends - run[..ends].bytes().rev().take_while(|byte| is_scheme(*byte)).count();
        (begins, &run[begins..ends])
    })
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn begins_with_scheme(text: &str) -> bool {
    text.trim_start_matches(|letter: char| letter.is_ascii() && is_scheme(letter as u8)).starts_with("://")
}

/// Where an ingest URL ends in `run`, looked for behind `from`: at its end, or where another URL of a list begins.
fn end_of_ingest(run: &str, from: usize) -> usize {
    let mut separators = run[from..].match_indices([',', '|', ';']).map(|(at, _)| from + at);
    separators.find(|at| begins_with_scheme(&run[at + 1..])).unwrap_or(run.len())
}

/// `rtmp://user:password@host/app/KEY?query` without its secrets: `rtmp://**********@host/app/**********`.
fn mask_stream_key(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let had_query = rest.contains(['?', '#']);
    let rest = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let user = authority.rsplit_once('@');
    let path = match path.map(|path| path.rsplit_once('/')) {
        Some(Some((application, _))) => format!("/{application}/{MASK}"),
        Some(None) => format!("/{MASK}"),
        None if had_query => format!("/{MASK}"),
        None if user.is_none() => return Cow::Borrowed(url),
        None => String::new(),
    };
    let authority = user.map_or(authority.to_owned(), |(_, host)| format!("{MASK}@{host}"));
    Cow::Owned(format!("{scheme}://{authority}{path}"))
}

/// `https://user:password@host` as `https://**********@host`.
fn mask_users(run: &str) -> Cow<'_, str> {
    let Some(last) = run.rfind('@') else { return Cow::Borrowed(run) };
    let mut masked = String::new();
    let mut copied = 0;
    for (begins, scheme) in schemes(run) {
        let authority = begins + scheme.len() + "://".len();
        let Some(last) = last.checked_sub(authority).filter(|_| authority >= copied) else { continue };
        if let Some(host) = end_of_user(scheme, &run[authority..], last) {
            masked.push_str(&run[copied..authority]);
            masked.push_str(MASK);
            copied = authority + host;
        }
    }
    masked.push_str(&run[copied..]);
    Cow::Owned(masked)
}

/// Where the `@` stands in `rest`, whose last is at `last`, if what is before it may be a secret.
fn end_of_user(scheme: &str, rest: &str, last: usize) -> Option<usize> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        // `ssh://git@host` names an account. A web address that has a user alone has its token there.
        Some(at) => {
            let is_web = ["http", "https", "ws", "wss"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
            (is_web || authority[..at].contains(':')).then_some(at)
        }
        // A password may have a slash in it; then what looks like a port is no number.
        None => {
            let port = authority.rsplit_once(':').filter(|_| !authority.starts_with('['))?.1;
            port.bytes().any(|byte| !byte.is_ascii_digit()).then_some(last)
        }
    }
}

/// Masks the secret ones among the parameters in `run`, and tokens.
fn mask_parameters(run: &str, depth: u8, out: &mut String) {
    // The whole query of an SRT URL is for the server that takes the stream.
    let is_srt = schemes(run).any(|(_, scheme)| scheme.eq_ignore_ascii_case("srt"));
    let is_ours = is_of_100ms(run);
    let mut rest = run;
    let mut follows_delimiter = false;
    while !rest.is_empty() {
        let part = &rest[..rest.find(is_delimiter).unwrap_or(rest.len())];
        let named = part.split_once('=').filter(|_| follows_delimiter || part.contains("://"));
        let hidden = named.and_then(|(name, value)| {
            if is_srt && follows_delimiter || is_secret_parameter(&name_of(name)) {
                // A secret ends where the next parameter begins, and nowhere earlier.
                return Some((name, rest[name.len()..].find(['&', '#']).map_or(rest.len(), |at| name.len() + at)));
            }
            (hides_more(value, depth) || is_ours && is_room_code(value)).then_some((name, part.len()))
        });
        let used = match hidden {
            Some((name, ends)) => {
                out.extend([name, "=", MASK]);
                ends
            }
            None => {
                mask_segments(part, is_ours, depth, out);
                part.len()
            }
        };
        let delimiter = rest[used..].chars().next();
        out.extend(delimiter);
        rest = &rest[used + delimiter.map_or(0, char::len_utf8)..];
        follows_delimiter = true;
    }
}

/// The name of a parameter, which may be percent-encoded and may stand behind a path.
fn name_of(name: &str) -> Cow<'_, str> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let decoded = |name: Cow<'_, str>| percent_decoded(&name).into_owned().into();
    (0..DEEPEST).fold(name.into(), |name: Cow<'_, str>, _| if name.contains('%') { decoded(name) } else { name })
}

/// `text` with every URL in it cut to its scheme and host.
pub fn cut_urls(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let cut = |run: &str, out: &mut String| match run.split_once("://") {
        Some((scheme, rest)) => out.extend([scheme, "://", host(rest)]),
        None => out.push_str(run),
    };
    Cow::Owned(by_runs(text, ends_text, cut))
}

/// Masks tokens and room codes in a part of a URL, and segments that are URLs with secrets of their own. `is_ours`
/// when it is a URL of 100ms.
fn mask_segments(part: &str, is_ours: bool, depth: u8, out: &mut String) {
    let mut before = "";
    for segment in part.split_inclusive('/') {
        let name = segment.trim_end_matches('/');
        let leads_in = ["meeting", "preview", "streaming"].iter().any(|page| before.eq_ignore_ascii_case(page));
        let is_code = match (is_ours, leads_in) {
            // Links of another form have the id of the room there.
            (true, true) => !name.is_empty() && !is_object_id(name),
            (false, false) => false,
            _ => is_room_code(name),
        };
        if is_code || hides_more(name, depth) {
            out.push_str(MASK);
        } else {
            mask_tokens(name, out);
        }
        out.push_str(&segment[name.len()..]);
        before = name;
    }
}

/// Whether `text` has the form of a room code: `abc-defg-hij`.
fn is_room_code(text: &str) -> bool {
    let text = percent_decoded(text);
    let mut groups = text.trim_matches(|letter: char| !letter.is_ascii_alphanumeric()).split('-');
    let mut is_group = |length: usize| {
        groups.next().is_some_and(|group| group.len() == length && group.bytes().all(|byte| byte.is_ascii_alphabetic()))
    };
    is_group(3) && is_group(4) && is_group(3) && groups.next().is_none()
}

/// The host of a URL: a secret may stand in its path, in its query and before the host.
pub fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.split_once(']') {
        Some((address, _)) => &host[..=address.len()],
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether `value` is percent-encoded and holds a secret once it is decoded.
fn hides_more(value: &str, depth: u8) -> bool {
    if depth >= DEEPEST || !value.contains('%') {
        return false;
    }
    let decoded = percent_decoded(value);
    decoded != value && masked(&decoded, depth + 1) != decoded
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// Masks JSON Web Tokens: three parts in base64url with dots between, the first of which begins `eyJ` (`{"`).
fn mask_tokens(text: &str, out: &mut String) {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let length = rest.as_bytes()[at..].iter().take_while(|byte| is_letter(byte)).count();
        let token = &rest[at..at + length];
        out.push_str(&rest[..at]);
        out.push_str(if is_token(token) { MASK } else { token });
        rest = &rest[at + length..];
    }
    out.push_str(rest);
}

fn is_token(text: &str) -> bool {
    const SHORTEST_PART: usize = 4;
    text.split('.').filter(|part| part.len() >= SHORTEST_PART).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiYXBwIn0.c2lnbmF0dXJl";

    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(mask_text(text), *expected, "{text}");
        }
    }

    #[test]
    fn stream_keys_are_cut_off() {
        check(&[
            ("rtmp://a.example/live2/KEY-1?x=y", "rtmp://a.example/live2/**********"),
            ("rtmps://a.example:443/app/in/KEY/", "rtmps://a.example:443/app/in/**********"),
            ("RTMP://a.example/KEY", "RTMP://a.example/**********"),
            ("rtmp://user:pw@a.example/live/KEY", "rtmp://**********@a.example/live/**********"),
            ("rtmp://a.example?key=KEY", "rtmp://a.example/**********"),
            ("rtmp://a.example", "rtmp://a.example"),
            (
                "rtmp://a/x/KEY,rtmps://b/y/KEY|srt://c?streamid=KEY",
                "rtmp://a/x/**********,rtmps://b/y/**********|srt://c?streamid=**********",
            ),
            ("push to rtmp://a/live/KEY now", "push to rtmp://a/live/********** now"),
            (r#"{"url":"rtmp:\/\/a\/live\/KEY","n":1}"#, r#"{"url":"rtmp://a/live/**********","n":1}"#),
            ("srt://a:9000?mode=caller&streamid=KEY", "srt://a:9000?mode=**********&streamid=**********"),
        ]);
    }

    #[test]
    fn parameters_that_name_a_secret_are_masked() {
        check(&[
            (
                "https://x.live/preview/r/host?token=T&skip_preview=true",
                "https://x.live/preview/r/host?token=**********&skip_preview=true",
            ),
            ("https://x.live/r?a=b&TOKEN=T#token=U", "https://x.live/r?a=b&TOKEN=**********#token=**********"),
            ("https://x.live/r?tokens=1&token=", "https://x.live/r?tokens=1&token=**********"),
            (
                "https://b.s3.amazonaws.com/k.mp4?X-Amz-Credential=C&X-Amz-Expires=9&X-Amz-Signature=S&X-Amz-Security-Token=T",
                "https://b.s3.amazonaws.com/k.mp4?X-Amz-Credential=**********&X-Amz-Expires=9&X-Amz-Signature=**********&X-Amz-Security-Token=**********",
            ),
            (
                "https://b/k?GoogleAccessId=a&X-Goog-Signature=S",
                "https://b/k?GoogleAccessId=a&X-Goog-Signature=**********",
            ),
            ("https://a.blob/k?sv=2022&se=1&sig=S%2F1", "https://a.blob/k?sv=2022&se=1&sig=**********"),
            ("https://o/k?OSSAccessKeyId=A&Signature=S", "https://o/k?OSSAccessKeyId=**********&Signature=**********"),
            ("https://h/x?%74oken=T&to%2564ken=1", "https://h/x?%74oken=**********&to%2564ken=1"),
            ("https://h/x?tok%2565n=T", "https://h/x?tok%2565n=**********"),
            ("https://h/x;jwt=T?a=1&amp;access_token=T", "https://h/x;jwt=**********&amp;access_token=**********"),
            ("wss://h/ws?auth_token=a?b;c", "wss://h/ws?auth_token=**********"),
            ("/preview/r/host?token=T", "/preview/r/host?token=**********"),
            (
                "see https://h/a?token=T, or <https://h/b?key=K>",
                "see https://h/a?token=********** or <https://h/b?key=**********>",
            ),
            ("https://h/go?to=https%3A%2F%2Fg%2F%3Ftoken%3DT&n=1", "https://h/go?to=**********&n=1"),
            ("https://h/go?to=https%253A%252F%252Fg%252F%253Ftoken%253DT", "https://h/go?to=**********"),
            ("https%3A%2F%2Fg%2F%3Ftoken%3DT", "**********"),
            ("https://h/p/https%3A%2F%2Fg%2F%3Fsig%3DT/x", "https://h/p/**********/x"),
            ("https://h/go?to=https://g/x?token=T", "https://h/go?to=https://g/x?token=**********"),
        ]);
    }

    #[test]
    fn room_codes_are_masked_where_they_let_somebody_in() {
        check(&[
            ("https://ada.app.100ms.live/meeting/abc-defg-hij", "https://ada.app.100ms.live/meeting/**********"),
            (
                "https://ada.app.100ms.live/preview/abc-defg-hij?a=b",
                "https://ada.app.100ms.live/preview/**********?a=b",
            ),
            ("https://ADA.APP.100MS.LIVE/Meeting/ABC-DEFG-HIJ/x", "https://ADA.APP.100MS.LIVE/Meeting/**********/x"),
            (
                "https://ada.app.100ms.live/streaming/new-form-of-code.",
                "https://ada.app.100ms.live/streaming/**********",
            ),
            ("https://ada.app.100ms.live/abc-defg-hij", "https://ada.app.100ms.live/**********"),
            ("ada.app.100ms.live/meeting/abc%2Ddefg%2Dhij", "ada.app.100ms.live/meeting/**********"),
            (
                "https://auth.100ms.live/v2/token?code=abc-defg-hij&x=y",
                "https://auth.100ms.live/v2/token?code=**********&x=y",
            ),
            ("https://class.example/meeting/abc-defg-hij#top", "https://class.example/meeting/**********#top"),
            (
                "come to https://a.100ms.live/#/meeting/abc-defg-hij now",
                "come to https://a.100ms.live/#/meeting/********** now",
            ),
            (
                "https://a.100ms.live/preview/665f1c2a9b665f1c2a9b665f/host",
                "https://a.100ms.live/preview/665f1c2a9b665f1c2a9b665f/host",
            ),
        ]);
        for text in
            ["abc-defg-hij", "https://class.example/abc-defg-hij", "https://a.100ms.live/beam?x=1", "100ms.live"]
        {
            assert_eq!(mask_text(text), text);
        }
    }

    #[test]
    fn only_the_host_of_a_url_is_left() {
        for (url, expected) in [
            ("https://u:p@hooks.example:8443/in/s3cret?k=s", "hooks.example"),
            ("hooks.example/in/s3cret", "hooks.example"),
            ("https://hooks.example?k=s", "hooks.example"),
            ("http://[2001:db8::1]:80/in", "[2001:db8::1]"),
            ("/in/s3cret", ""),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn users_in_front_of_a_host_are_masked() {
        check(&[
            ("https://user:pass@h/x", "https://**********@h/x"),
            ("https://ghp_abc@h/x", "https://**********@h/x"),
            ("postgres://user:pa/ss@h/db", "postgres://**********@h/db"),
            ("https://user:p&s;s@h/x", "https://**********@h/x"),
            ("ssh://git@h/x", "ssh://git@h/x"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            ("https://h:8080/a@b", "https://h:8080/a@b"),
        ]);
    }

    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        for (before, after) in [("", ""), ("Bearer ", ""), ("https://h/", "/x"), ("{\"a\":\"", "\"}"), ("a=", "")] {
            assert_eq!(mask_text(&format!("{before}{TOKEN}{after}")), format!("{before}{MASK}{after}"));
        }
        check(&[("eyJ", "eyJ"), ("eyJabcdef", "eyJabcdef"), ("eyJabc.eyJdef", "eyJabc.eyJdef")]);
    }

    #[test]
    fn ordinary_text_is_untouched() {
        for text in [
            "",
            "Ada",
            "Dr. O'Neill; at 10:30",
            "user-12",
            "room.key",
            "a=b",
            "token=5",
            "x = y; token = 5",
            "100%",
            "50%3",
            "https://h/x?a=b&c=d#top",
            "https://h/x?user_id=u&room_id=r&page_size=10",
            "ws://h:80/",
            "://",
            "a://",
            "%3A%2F",
            r#"{"isHandRaised":false,"token":"free text"}"#,
            "eyJ is how a token begins",
            "mailto:a@b.c",
            "C:\\dir\\/x",
            "rtmp",
            "rtmp:",
            "rtmp://",
            "rtmp://h/",
            "https://h/a,b;c=d",
            "é://ü?x=1",
            "?&#;=%",
        ] {
            assert_eq!(mask_text(text), text);
            assert!(matches!(mask_text(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
