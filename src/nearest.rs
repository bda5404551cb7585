//! Finds the name that somebody meant who typed one that does not exist.

/// The name among `known` that `typed` most resembles, when it resembles one: at most a third of its letters,
/// and no more than three, are wrong. Case and the style of separators do not count, so `startDate` is
/// `start_date`.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = plain(typed);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &plain(name)), name))
        .filter(|(wrong, name)| *wrong <= 3 && wrong * 3 <= name.len())
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    // Nobody's typing error is longer than the longest name by much, and comparing costs its square.
    name.chars().take(100).filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_understood_and_other_names_are_not() {
        let known = ["sessions", "rooms", "templates", "template_settings", "num_workers"];
        for (typed, meant) in [
            ("session", Some("sessions")),
            ("Rooms", Some("rooms")),
            ("room", Some("rooms")),
            ("templateSettings", Some("template_settings")),
            ("num_worker", Some("num_workers")),
            ("tempaltes", Some("templates")),
            ("chat_messages", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
