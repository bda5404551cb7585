//! Names of keys in whatever spelling.
//!
//! They are compared without regard to case, to `_`, `-` and other punctuation, and to digits at the end:
//! `stream_key`, `streamKey` and `Stream-Key2` are one name.

/// The longest name of the tables, and one more to see that a name is longer.
pub const LONGEST: usize = 40;

/// Which names an entry of a table means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fits {
    /// Those that end like this: `webhook_secret`, `fcmToken`.
    End,
    /// This one only. It is short, or the end of innocent words.
    Whole,
}

/// The last letters and digits of `name` in lower case, without the digits at its end.
pub fn last_letters<'b>(name: &str, letters: &'b mut [u8; LONGEST]) -> &'b [u8] {
    let mut begins = LONGEST;
    let name = name.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic() && letter.is_ascii());
    for byte in name.bytes().rev().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
        let Some(next) = begins.checked_sub(1) else { break };
        begins = next;
        letters[begins] = byte.to_ascii_lowercase();
    }
    &letters[begins..]
}

/// Whether what `last_letters` gives of a name fits one of `names`.
pub fn is_one_of(letters: &[u8], fits: Fits, names: &[&str]) -> bool {
    let Some(last) = letters.last() else { return false };
    names.iter().map(|known| known.as_bytes()).any(|known| {
        known.last() == Some(last) && if fits == Fits::End { letters.ends_with(known) } else { letters == known }
    })
}
