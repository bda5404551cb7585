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

/// What a table of names says, by the last letter of the names: most keys are not in it, and every key is looked up.
pub struct Names<T>([Vec<(Fits, T, &'static [u8])>; 256]);

impl<T: Copy> Names<T> {
    /// The names of `table`, which have blanks between them; the first that fits counts.
    pub fn of(table: &[(Fits, T, &'static str)]) -> Self {
        let mut names = [const { Vec::new() }; 256];
        for (fits, says, words) in table {
            for word in words.split(' ').map(str::as_bytes) {
                names[word.last().map_or(0, |letter| usize::from(*letter))].push((*fits, *says, word));
            }
        }
        Self(names)
    }

    /// The entry that fits a name of which `last_letters` gives these.
    pub fn find(&self, letters: &[u8]) -> Option<(Fits, T, &'static [u8])> {
        let mut entries = self.0[usize::from(*letters.last()?)].iter().copied();
        entries.find(|(fits, _, word)| if *fits == Fits::End { letters.ends_with(word) } else { letters == *word })
    }
}
