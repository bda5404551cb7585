//! The text in a JSON string, as strict readers take it.
//!
//! JSON lets `\ud83d` stand alone, and lets `\u0000` stand at all. Readers that want Unicode drop or refuse a
//! line with the first (silently, some of them), and PostgreSQL refuses the second.

use std::borrow::Cow;

/// What stands for a letter that no reader can take: U+FFFD, which Unicode has for that.
const UNREADABLE: char = char::REPLACEMENT_CHARACTER;

/// The text of a JSON string, without its quotes and escapes. What cannot be read is U+FFFD.
pub fn decoded(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else { return Cow::Borrowed(inner) };
    let mut text = String::with_capacity(inner.len());
    text.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while !rest.is_empty() {
        let (letter, length) = escape(rest);
        text.push(letter);
        rest = rest.get(length..).unwrap_or_default();
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        text.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    Cow::Owned(text)
}

/// Whether every reader can take the text: no surrogate stands alone, and there is no U+0000.
pub fn is_readable(inner: &str) -> bool {
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (letter, length) = escape(&rest[at..]);
        // U+FFFD itself may be written as an escape.
        if letter == UNREADABLE && !rest[at..].to_ascii_lowercase().starts_with("\\ufffd") {
            return false;
        }
        rest = rest.get(at + length..).unwrap_or_default();
    }
    true
}

/// The letter that the escape at the beginning of `text` stands for, and the escape's length.
fn escape(text: &str) -> (char, usize) {
    match text.as_bytes().get(1) {
        Some(b'u') => unicode(text),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(letter) if letter.is_ascii() => (char::from(*letter), 2),
        _ => (UNREADABLE, 1),
    }
}

fn unicode(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match unit(2) {
        None => (UNREADABLE, 2),
        Some(0) => (UNREADABLE, 6),
        Some(high @ 0xd800..=0xdbff) => match unit(8).filter(|_| text.get(6..8) == Some("\\u")) {
            Some(low @ 0xdc00..=0xdfff) => {
                let letter = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(letter).unwrap_or(UNREADABLE), 12)
            }
            _ => (UNREADABLE, 6),
        },
        Some(unit) => (char::from_u32(unit).unwrap_or(UNREADABLE), 6),
    }
}

/// What stands between the quotes of a JSON string.
pub fn inner(string: &str) -> &str {
    string.strip_prefix('"').and_then(|string| string.strip_suffix('"')).unwrap_or(string)
}

/// The text of a JSON string, or of a number (an id may be one); `None` for anything else, and for an empty one.
pub fn text_in(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => Some(decoded(inner(json))).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_read_as_json_has_it() {
        for inner in [r"plain", r#"a\n\r\t\b\f\/\\\"z"#, r"\u00e9\u20ac", r"\ud83d\ude00!", r"é€😀", r"\ufffd \uFFFD"]
        {
            let expected: String = serde_json::from_str(&format!("\"{inner}\"")).unwrap();
            assert_eq!(decoded(inner), expected, "{inner}");
            assert!(is_readable(inner), "{inner}");
        }
        assert!(matches!(decoded("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_cannot_be_read_is_replaced() {
        for (inner, expected) in [
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\ude00", "\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83dude00", "\u{fffd}ude00"),
            (r"a\u0000b", "a\u{fffd}b"),
        ] {
            assert_eq!(decoded(inner), expected, "{inner}");
            assert!(!is_readable(inner), "{inner}");
        }
        assert_eq!(decoded(r"\\u0000"), "\\u0000");
        assert!(is_readable(r"\\u0000"));
    }
}
