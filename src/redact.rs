//! The last protection for everything that the connector says: no message contains a secret of the configuration, or
//! a part of one.
//!
//! A server that echoes a token may echo a piece of it, cut anywhere, escaped or percent-encoded; and what it
//! echoes may end in a log line, an error, or a page token that a state would keep. So a piece of text is masked
//! when it is `SHORTEST_PIECE` bytes or more of a secret, wherever in the secret they stand.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

/// What stands where a secret was.
pub const MASK: &str = "**********";

/// Shorter secrets, and shorter parts of a token, would mask innocent words.
const SHORTEST_SECRET: usize = 8;
/// A piece of a secret that is as long as this is no coincidence.
const SHORTEST_PIECE: usize = 12;

/// Masks secrets in text; cheap to clone, and all clones know what one is told.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

/// All pieces of [`SHORTEST_PIECE`] bytes of the secrets, and the secrets and parts that are shorter.
#[derive(Default)]
struct Known {
    pieces: HashSet<[u8; SHORTEST_PIECE]>,
    /// Pieces that many tokens have alike, and those of the salt. They are masked in what people read, but prove nothing.
    common: HashSet<[u8; SHORTEST_PIECE]>,
    short: Vec<String>,
}

/// What becomes of the pieces that many tokens have in common, where they stand without more of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Common {
    Masked,
    Kept,
}

impl Redactor {
    /// A redactor that knows `secrets`.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let redactor = Self::default();
        secrets.into_iter().for_each(|secret| redactor.add(secret.as_ref()));
        redactor
    }

    /// Makes `secret` known: as it is, without blanks around it, percent-encoded and as a JSON string.
    pub fn add(&self, secret: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms(secret) {
            known.add(&form);
        }
    }

    /// Makes the salt for hashes known, which is masked in what people read. It is no secret of 100ms's, which does not
    /// know it: what looks like it in a state is something else, and must come out as it went in.
    pub fn add_salt(&self, salt: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms(salt) {
            known.common.extend(pieces(&form));
        }
    }

    /// `text` with every secret, and every piece of one, masked.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.known().redact(text, Common::Masked)
    }

    /// Masks secrets in all strings of a state or a schema, keys included.
    ///
    /// What many tokens have alike stays: a page token of the API may be a token of that kind or hold a time, and must
    /// come out of the state as it went in.
    pub fn redact_value(&self, value: &mut Value) {
        self.known().redact_value(value);
    }

    /// Whether `text` holds a secret, or a piece of one.
    pub fn holds_secret(&self, text: &str) -> bool {
        matches!(self.known().redact(text, Common::Kept), Cow::Owned(_))
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Known {
    fn add(&mut self, secret: &str) {
        let unsigned = unsigned(secret).unwrap_or_default();
        let windows = secret.as_bytes().windows(SHORTEST_PIECE).enumerate();
        for (at, piece) in windows {
            let Ok(piece) = piece.try_into() else { continue };
            // With the dot, and with the little of the next part that one piece can show.
            let is_common = !unsigned.is_empty() && at <= unsigned.len();
            if is_common {
                self.common.insert(piece)
            } else {
                self.pieces.insert(piece)
            };
        }
        let is_public = |part: &str| unsigned.split('.').any(|public| public == part);
        let parts = secret.split('.').filter(|part| !part.is_empty() && !is_public(part));
        for part in parts.chain([secret]) {
            let is_short = (SHORTEST_SECRET..SHORTEST_PIECE).contains(&part.len());
            if is_short && !self.short.iter().any(|known| known == part) {
                self.short.push(part.to_owned());
            }
        }
    }

    fn redact<'t>(&self, text: &'t str, common: Common) -> Cow<'t, str> {
        let mut found = Self::pieces_in(text, &self.pieces);
        for short in &self.short {
            found.extend(text.match_indices(short.as_str()).map(|(at, _)| (at, at + short.len())));
        }
        if !found.is_empty() || common == Common::Masked {
            found.extend(Self::pieces_in(text, &self.common));
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable();
        Cow::Owned(masked(text, &found))
    }

    /// Where pieces of secrets stand in `text`.
    fn pieces_in(text: &str, pieces: &HashSet<[u8; SHORTEST_PIECE]>) -> Vec<(usize, usize)> {
        let windows = text.as_bytes().windows(SHORTEST_PIECE).enumerate();
        windows.filter(|(_, piece)| pieces.contains(*piece)).map(|(at, _)| (at, at + SHORTEST_PIECE)).collect()
    }

    fn redact_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.redact(text, Common::Kept) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.redact_value(member));
                let is_secret = |key: &String| matches!(self.redact(key, Common::Kept), Cow::Owned(_));
                if members.keys().any(is_secret) {
                    let masked = std::mem::take(members).into_iter();
                    *members =
                        masked.map(|(key, member)| (self.redact(&key, Common::Kept).into_owned(), member)).collect();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// All pieces of a secret.
fn pieces(secret: &str) -> impl Iterator<Item = [u8; SHORTEST_PIECE]> {
    secret.as_bytes().windows(SHORTEST_PIECE).filter_map(|piece| piece.try_into().ok())
}

/// `text` with the ranges `found`, which are sorted and may overlap, masked.
fn masked(text: &str, found: &[(usize, usize)]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut copied = 0;
    for (begins, ends) in found {
        // A piece may begin or end within a letter: then the letter goes with it.
        let begins = (0..=*begins).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let ends = (*ends..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        // Ranges that touch are one secret.
        if begins > copied || copied == 0 {
            masked.push_str(&text[copied..begins]);
            masked.push_str(MASK);
        }
        copied = copied.max(ends);
    }
    masked.push_str(&text[copied..]);
    masked
}

/// A JSON Web Token without its signature. It says how it is signed, whose it is and until when; and since it is
/// base64 of times, a page token that holds a time may have a piece of it by chance.
fn unsigned(secret: &str) -> Option<&str> {
    let (unsigned, _) = secret.rsplit_once('.').filter(|_| secret.starts_with("eyJ"))?;
    (unsigned.matches('.').count() == 1).then_some(unsigned)
}

/// The ways a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for secret in [secret, secret.trim()] {
        let json = Value::from(secret).to_string();
        let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
        let with_slashes = json.replace('/', "\\/");
        let (upper, lower) = (percent_encoded(secret, false), percent_encoded(secret, true));
        for form in [secret.to_owned(), json, with_slashes, upper, lower] {
            if form.len() >= SHORTEST_SECRET && secret.len() >= SHORTEST_SECRET && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

fn percent_encoded(text: &str, is_lower: bool) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ if is_lower => format!("%{byte:02x}"),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
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
        let redactor = redactor(secret);
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
    fn a_piece_of_a_token_is_masked_and_so_is_what_is_left_of_it() {
        let redactor = redactor(TOKEN);
        let parts: Vec<&str> = TOKEN.split('.').collect();
        for piece in [
            TOKEN,
            &TOKEN[..50],
            &TOKEN[60..],
            parts[0],
            parts[1],
            parts[2],
            &TOKEN[..HEADER.len() + 13],
            &parts[1][3..15],
        ] {
            assert_eq!(
                redactor.redact(&format!("token \"{piece}\" is not valid")),
                format!("token \"{MASK}\" is not valid")
            );
        }
        assert_eq!(redactor.redact(&format!("{TOKEN} {TOKEN}{TOKEN}")), format!("{MASK} {MASK}"));
        // A part of a token may be shorter than a piece.
        assert_eq!(Redactor::new(["eyJhbGciOiJub25lIn0.eyJhIjoxfQ.abcdefgh"]).redact("x abcdefgh y"), "x ********** y");
    }

    #[test]
    fn what_is_short_or_no_secret_stays() {
        let redactor = Redactor::new(["short", TOKEN, "password"]);
        for text in ["", "short", "a sentence about tokens", "eyJhbGciOi", "passwor", "665f1c2a9b"] {
            assert!(matches!(redactor.redact(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(redactor.redact("the password."), "the **********.");
    }

    #[test]
    fn every_clone_learns_what_is_minted_later() {
        let redactor = Redactor::default();
        let clone = redactor.clone();
        redactor.add(TOKEN);
        assert!(clone.holds_secret(TOKEN));
    }

    #[test]
    fn a_page_token_may_share_what_is_not_the_signature() {
        let redactor = redactor(TOKEN);
        let page = format!("{HEADER}.eyJwYWdlIjoyfQ.YW5vdGhlciBvbmUgb2Ygb3Vycw");
        assert!(!redactor.holds_secret(&page));
        // A time in base64: the token was minted in the same minute.
        assert!(!redactor.holds_secret(&format!("page-{}", &TOKEN[HEADER.len()..HEADER.len() + 14])));
        assert!(redactor.holds_secret(&format!("page-{}", &TOKEN[TOKEN.len() - 14..])));
        let mut state = json!({"start": page, "n": [1, true, null, TOKEN], TOKEN: {"x": &TOKEN[60..]}});
        redactor.redact_value(&mut state);
        assert_eq!(state, json!({"start": page, "n": [1, true, null, MASK], MASK: {"x": MASK}}));
    }

    proptest! {
        #[test]
        fn no_piece_of_a_secret_comes_through(
            secret in "\\PC{12,60}", before in "\\PC{0,20}", after in "\\PC{0,20}", from in 0_usize..60, length in 12_usize..60
        ) {
            let letters: Vec<char> = secret.chars().collect();
            let piece: String = letters.iter().skip(from % letters.len()).take(length).collect();
            prop_assume!(piece.len() >= SHORTEST_PIECE);
            let redactor = Redactor::new([&secret]);
            let text = format!("{before}{piece}{after}");
            let redacted = redactor.redact(&text);
            let bytes = redacted.as_bytes().windows(SHORTEST_PIECE);
            prop_assert!(bytes.into_iter().all(|window| !secret.as_bytes().windows(SHORTEST_PIECE).any(|piece| piece == window)));
        }
    }
}
