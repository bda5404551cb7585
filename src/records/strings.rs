//! The text in a JSON string, as strict readers take it.
//!
//! JSON lets `\ud83d` stand alone, and lets `\u0000` stand at all. Readers that want Unicode drop or refuse a
//! line with the first (silently, some of them), and PostgreSQL refuses the second.

use std::borrow::Cow;

/// The text of a JSON string, which is given in its quotes. What cannot be read is U+FFFD.
pub fn decoded(string: &str) -> Cow<'_, str> {
    read(string).0
}

/// The same, and whether every reader can take it: no surrogate stands alone, and there is no U+0000.
pub fn read(string: &str) -> (Cow<'_, str>, bool) {
    let mut rest = inner(string);
    if memchr::memchr(b'\\', rest.as_bytes()).is_none() {
        return (Cow::Borrowed(rest), true);
    }
    let (mut text, mut is_readable) = (String::with_capacity(rest.len()), true);
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (letter, behind) = letter_of(escape);
        is_readable &= letter.is_some();
        text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = behind;
    }
    text.push_str(rest);
    (Cow::Owned(text), is_readable)
}

/// The letter that an escape stands for, which is given without its backslash, and what follows it. A text may be cut
/// off, and hold what JSON does not know.
fn letter_of(escape: &str) -> (Option<char>, &str) {
    let mut letters = escape.chars();
    let letter = match letters.next() {
        Some('u') => return unicode(letters.as_str()),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        other => other,
    };
    (letter, letters.as_str())
}

/// The letter with this number, or with this and the next when they are a pair.
fn unicode(digits: &str) -> (Option<char>, &str) {
    let unit = |digits: &str| u16::from_str_radix(digits.get(..4)?, 16).ok();
    let Some(first) = unit(digits) else { return (None, digits) };
    let rest = &digits[4..];
    let second = rest.strip_prefix("\\u").and_then(unit);
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(letter)) if letter.len_utf16() == 2 => (Some(letter), &rest[6..]),
        Some(Ok(letter)) => (Some(letter).filter(|letter| *letter != '\0'), rest),
        _ => (None, rest),
    }
}

/// What stands between the quotes of a JSON string.
pub fn inner(string: &str) -> &str {
    string.strip_prefix('"').and_then(|string| string.strip_suffix('"')).unwrap_or(string)
}

/// The text of a JSON string, or of a number (an id may be one); `None` for anything else, and for an empty one.
pub fn text_in(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => Some(decoded(json)).filter(|text| !text.is_empty()),
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
            let string = format!("\"{inner}\"");
            let expected: String = serde_json::from_str(&string).unwrap();
            assert_eq!(read(&string), (expected.into(), true), "{inner}");
        }
        assert!(matches!(decoded("\"plain\""), Cow::Borrowed(_)));
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
            assert_eq!(read(&format!("\"{inner}\"")), (expected.into(), false), "{inner}");
        }
        assert_eq!(read(r"\\u0000"), ("\\u0000".into(), true));
    }

    #[test]
    fn a_string_that_is_cut_off_is_read_as_far_as_it_goes() {
        for (string, expected) in [(r#""a\n"#, "\"a\n"), (r#""a\"#, "\"a\u{fffd}"), (r#""a\u00"#, "\"a\u{fffd}00")] {
            assert_eq!(decoded(string), expected);
        }
    }
}
