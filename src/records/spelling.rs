//! Names of keys in whatever spelling.
//!
//! They are compared without regard to case, to `_`, `-` and other punctuation, and to digits at the end:
//! `stream_key`, `streamKey` and `Stream-Key2` are one name.

/// The longest name of the tables, and one more to see that a name is longer.
pub const LONGEST: usize = 40;

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

/// What a table of names says, by the last letter of the names: most keys are not in it, and every key is looked up.
/// Of each name it is kept whether it means all that end like it.
pub struct Names<T>([Vec<(bool, T, &'static [u8])>; 256]);

impl<T: Copy> Names<T> {
    /// The names of `table`, which have blanks between them; the first that fits counts. One that begins with `*` means
    /// all that end like it (`*secret` is `webhook_secret`, too). The others are short, or the end of innocent words.
    pub fn of(table: &[(T, &'static str)]) -> Self {
        let mut names = [const { Vec::new() }; 256];
        for (says, words) in table {
            for word in words.split(' ') {
                let ending = word.strip_prefix('*');
                let letters = ending.unwrap_or(word).as_bytes();
                let entry = (ending.is_some(), *says, letters);
                names[letters.last().map_or(0, |letter| usize::from(*letter))].push(entry);
            }
        }
        Self(names)
    }

    /// The entry that fits a name of which `last_letters` gives these.
    pub fn find(&self, letters: &[u8]) -> Option<(bool, T, &'static [u8])> {
        let mut entries = self.0[usize::from(*letters.last()?)].iter().copied();
        entries.find(|(is_ending, _, word)| if *is_ending { letters.ends_with(word) } else { letters == *word })
    }
}
