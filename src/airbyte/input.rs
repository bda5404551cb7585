//! Parses files that somebody else wrote, and says what is wrong with them: as the end of a sentence about the file.

use serde_json::Value;

/// A name from somebody's file, short enough for a sentence and on one line.
pub fn shown(name: &str) -> String {
    name.chars().take(60).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Parses a JSON file's text.
///
/// # Errors
/// When it is not JSON, with the place.
pub fn parse_json(text: &str) -> Result<Value, String> {
    if text.starts_with('\u{feff}') {
        return Err("begins with a byte order mark: save it as UTF-8 without one".into());
    }
    if text.trim().is_empty() {
        return Err("is empty: check the path".into());
    }
    serde_json::from_str(text).map_err(|error| {
        // The library tells these two from broken JSON in its text only; the text may quote the file.
        let reason = error.to_string();
        let what = match () {
            () if reason.starts_with("recursion limit") => "is nested more than 127 levels deep",
            () if reason.starts_with("number out of range") => "contains a number that is too large",
            () => "is not JSON",
        };
        format!("{what}: look at line {}, column {}", error.line(), error.column())
    })
}
