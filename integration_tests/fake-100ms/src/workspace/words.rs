//! Names and free texts as people type them, the awkward ones included.

use super::random::Random;

const PEOPLE: &[&str] = &[
    "Asha Rao",
    "Tom Becker",
    "Maria Silva",
    "Wei Chen",
    "Olivia Brown",
    "Ngozi Okafor",
    "Priya Nair",
    "Lukas Novak",
    "Sofia Rossi",
    "Kenji Sato",
    "Amelie Laurent",
    "Daniel Kim",
];

/// Each of these has broken some program: joined emoji, right-to-left, JSON's line separators,
/// quotes, backslashes, markup, control characters, leading blanks, nothing at all.
const AWKWARD: &[&str] = &[
    "👩🏽‍🏫 Ms. Frizzle",
    "مريم الخطيب",
    "דוד כהן",
    "李小龍",
    "Zoë \"Zed\" O’Neil",
    "back\\slash\\Bob",
    "line\u{2028}separator",
    "paragraph\u{2029}separator",
    "next\u{0085}line",
    "Robert'); DROP TABLE peers;--",
    "<script>alert(1)</script>",
    "tab\tand\nnewline",
    "  leading and trailing  ",
    "Å̸͎ combining",
    "\u{feff}byte order mark",
    "null",
    "",
];

const TOPICS: &[&str] = &[
    "Physics 101",
    "Daily stand-up",
    "Yoga für Anfänger",
    "Doctor’s appointment",
    "Sales demo",
    "Astronomía 🔭",
    "Book club",
    "全体会議",
    "Interview: \"Rust\"",
    "Support/escalation",
    "مراجعة الشفرة",
    "Quiz night",
];

pub(crate) const ROLES: &[&str] = &["host", "guest", "teacher", "student", "co-host", "зритель"];

pub(crate) const REGIONS: &[&str] = &["in", "us", "eu"];

/// A person's display name; about one in eight is awkward.
pub(crate) fn person(random: &mut Random) -> &'static str {
    let awkward = random.chance(0.125);
    random.pick(if awkward { AWKWARD } else { PEOPLE })
}

/// A name for a room or template, which the account has only once.
pub(crate) fn topic(random: &mut Random, number: usize) -> String {
    let awkward = random.chance(0.15);
    let words = random.pick(if awkward { AWKWARD } else { TOPICS });
    format!("{words} #{number}")
}

/// What an app's developers put into the free `metadata` of a peer.
pub(crate) fn metadata(random: &mut Random) -> String {
    match random.below(8) {
        0 | 1 => String::new(),
        2 | 3 => r#"{"isHandRaised":false,"prevRole":"guest"}"#.to_owned(),
        4 => format!(r#"{{"seat":{},"lang":"de"}}"#, random.below(900)),
        5 => format!("plain text, not JSON: {}", person(random)),
        6 => "{\"note\":\"line\u{2028}separator\",\"emoji\":\"🎉\"}".to_owned(),
        _ => format!("{{\"avatar\":\"data:image/png;base64,{}\"}}", random.hex(300)),
    }
}
