//! The last protection for everything that the connector writes: no message contains a secret of the configuration.
//!
//! A server that repeats a token may repeat it escaped, percent-encoded or cut off, and what it answers may end in a
//! log line, an error, or a page token that a state would keep. In texts for people, a secret is masked in all of its
//! spellings, and so is its beginning. A state must come out as it went in, and a page token of the API may begin like
//! a token of ours, so there only a whole secret counts.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::seams::locked;

/// What stands where a secret was.
pub const MASK: &str = "**********";

/// Anything shorter is no secret: it would mask innocent words.
const SHORTEST: usize = 8;
/// This many characters from the beginning of a secret are masked like all of it.
const BEGINNING: usize = 16;
/// What is percent-encoded in a URL.
const NOT_IN_URLS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Masks secrets in text. A secret that is added to one clone is known to all.
#[derive(Clone, Default)]
pub struct Redactor {
    /// All spellings of the secrets, the longest first.
    secrets: Arc<Mutex<Vec<String>>>,
    /// Those of the salt.
    salts: Arc<Mutex<Vec<String>>>,
}

impl Redactor {
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let redactor = Self::default();
        secrets.into_iter().for_each(|secret| redactor.add(secret.as_ref()));
        redactor
    }

    /// Adds `secret`. Of a JSON Web Token, the claims and the signature are secrets of their own; its header is not.
    pub fn add(&self, secret: &str) {
        let claims_and_signature = secret.split('.').skip(1).filter(|_| secret.starts_with("eyJ"));
        let mut secrets = locked(&self.secrets);
        secrets.extend(claims_and_signature.chain([secret]).flat_map(spellings));
        // What is part of a longer secret must not cut it in two.
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        secrets.dedup();
    }

    /// Adds the salt for hashes, which is masked in texts for people. 100ms does not know it, so what looks like it in
    /// a state is something else.
    pub fn add_salt(&self, salt: &str) {
        locked(&self.salts).extend(spellings(salt));
    }

    /// `text`, which is for people, with every secret and the beginning of every secret masked.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let (secrets, salts) = (locked(&self.secrets), locked(&self.salts));
        let secrets: Vec<&str> = secrets.iter().chain(&*salts).map(String::as_str).collect();
        masked(text, &secrets).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Masks whole secrets in all strings of a state or a schema, keys included.
    pub fn redact_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.without_secrets(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.redact_value(member));
                let masked = std::mem::take(members).into_iter();
                *members = masked.map(|(key, member)| (self.without_secrets(&key), member)).collect();
            }
            _ => {}
        }
    }

    /// Whether `text` contains a whole secret.
    pub fn holds_secret(&self, text: &str) -> bool {
        locked(&self.secrets).iter().any(|secret| text.contains(secret))
    }

    fn without_secrets(&self, text: &str) -> String {
        // Replacing takes much longer than finding nothing, and a state has thousands of texts.
        if !self.holds_secret(text) {
            return text.to_owned();
        }
        locked(&self.secrets).iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

/// `text` without `secrets` and their beginnings; `None` when there is none. Tokens begin alike, so what counts is the
/// longest part of a secret that stands at a place.
fn masked(text: &str, secrets: &[&str]) -> Option<String> {
    let (mut masked, mut rest) = (String::new(), text);
    while let Some(at) = secrets.iter().filter_map(|secret| rest.find(beginning(secret))).min() {
        let (before, found) = rest.split_at(at);
        let is_here = secrets.iter().filter(|secret| found.starts_with(beginning(secret)));
        let length = is_here.map(|secret| length_in_common(found, secret)).max().unwrap_or_default();
        masked = masked + before + MASK;
        rest = &found[length..];
    }
    (!masked.is_empty()).then(|| masked + rest)
}

fn beginning(secret: &str) -> &str {
    secret.char_indices().nth(BEGINNING).map_or(secret, |(end, _)| &secret[..end])
}

fn length_in_common(text: &str, secret: &str) -> usize {
    let same = text.chars().zip(secret.chars()).take_while(|(one, other)| one == other);
    same.map(|(letter, _)| letter.len_utf8()).sum()
}

/// The ways in which a secret may be written: as it is, in a JSON string, percent-encoded.
fn spellings(secret: &str) -> Vec<String> {
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    let json = Value::from(secret).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let with_slashes = json.replace('/', "\\/");
    let percent_encoded = utf8_percent_encode(secret, NOT_IN_URLS);
    let lower: String = percent_encoded
        .clone()
        .map(|part| if part.starts_with('%') { part.to_lowercase() } else { part.to_owned() })
        .collect();
    vec![secret.to_owned(), json, with_slashes, percent_encoded.to_string(), lower]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhY2Nlc3Nfa2V5IjoiNjY1ZiIsInR5cGUiOiJtYW5hZ2VtZW50In0.c2lnbmF0dXJlLW9mLTMy";

    fn redactor(secret: &str) -> Redactor {
        Redactor::new([secret])
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secret = " s3cr3t/\"+ü=x ";
        let redactor = Redactor::new([secret, secret.trim()]);
        for text in [
            secret,
            "s3cr3t/\"+ü=x",
            "s3cr3t/\\\"+ü=x",
            "s3cr3t\\/\\\"+ü=x",
            "s3cr3t%2F%22%2B%C3%BC%3Dx",
            "s3cr3t%2f%22%2b%c3%bc%3dx",
        ] {
            assert_eq!(redactor.redact(&format!("it is ({text})!")), format!("it is ({MASK})!"), "{text}");
        }
    }

    #[test]
    fn a_token_its_beginning_and_its_parts_are_masked() {
        let redactor = redactor(TOKEN);
        let parts: Vec<&str> = TOKEN.split('.').collect();
        for piece in [TOKEN, &TOKEN[..50], &TOKEN[..BEGINNING], parts[0], parts[1], parts[2], &parts[1][..20]] {
            assert_eq!(
                redactor.redact(&format!("token \"{piece}\" is not valid")),
                format!("token \"{MASK}\" is not valid")
            );
        }
        assert_eq!(redactor.redact(&format!("{TOKEN} {TOKEN}{TOKEN}")), format!("{MASK} {MASK}{MASK}"));
        // A part of a token may be short.
        assert_eq!(Redactor::new(["eyJhbGciOiJub25lIn0.eyJhIjoxfQ.abcdefgh"]).redact("x abcdefgh y"), "x ********** y");
    }

    #[test]
    fn what_is_short_or_no_secret_stays() {
        let redactor = Redactor::new(["short", TOKEN, "password"]);
        for text in ["", "short", "a sentence about tokens", &TOKEN[..BEGINNING - 1], "passwor", "665f1c2a9b"] {
            assert!(matches!(redactor.redact(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(redactor.redact("the password."), "the **********.");
    }

    #[test]
    fn a_secret_that_holds_another_is_masked_whole() {
        assert_eq!(Redactor::new(["password", "a password of mine"]).redact("a password of mine!"), "**********!");
    }

    #[test]
    fn of_secrets_that_begin_alike_each_is_masked_whole() {
        let redactor =
            Redactor::new(["a-beginning-of-many-letters-and-one", "a-beginning-of-many-letters-or-the-other"]);
        for text in ["a-beginning-of-many-letters-and-one", "a-beginning-of-many-letters-or-the-other"] {
            assert_eq!(redactor.redact(&format!("`{text}`")), format!("`{MASK}`"));
            assert_eq!(redactor.redact(&text[..30]), MASK);
        }
    }

    #[test]
    fn every_clone_learns_what_is_minted_later() {
        let redactor = Redactor::default();
        let clone = redactor.clone();
        redactor.add(TOKEN);
        assert!(clone.holds_secret(TOKEN));
    }

    #[test]
    fn a_page_token_may_begin_like_a_token_or_hold_the_salt() {
        let redactor = redactor(TOKEN);
        redactor.add_salt("the salt of a user");
        assert_eq!(redactor.redact("the salt of a user"), MASK);
        let page = format!("{HEADER}.eyJwYWdlIjoyfQ.YW5vdGhlciBvbmUgb2Ygb3Vycw");
        assert!(!redactor.holds_secret(&page));
        assert!(!redactor.holds_secret("the salt of a user"));
        // A time in base64: the token was minted in the same minute.
        assert!(!redactor.holds_secret(&format!("page-{}", &TOKEN[HEADER.len()..HEADER.len() + 14])));
        let signature = TOKEN.rsplit('.').next().unwrap();
        assert!(redactor.holds_secret(&format!("page-{signature}")));
        let mut state = json!({"start": page, "n": [1, true, null, TOKEN], TOKEN: {"x": signature}});
        redactor.redact_value(&mut state);
        assert_eq!(state, json!({"start": page, "n": [1, true, null, MASK], MASK: {"x": MASK}}));
    }

    proptest! {
        #[test]
        fn no_beginning_of_a_secret_comes_through(
            secret in "\\PC{17,60}", before in "\\PC{0,20}", after in "\\PC{0,20}", length in 16_usize..60
        ) {
            let beginning: String = secret.chars().take(length).collect();
            let redactor = Redactor::new([&secret]);
            let text = format!("{before}{beginning}{after}");
            let first: String = secret.chars().take(BEGINNING).collect();
            prop_assert!(!redactor.redact(&text).contains(&first));
        }
    }
}
