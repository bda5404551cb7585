//! Remembers the page tokens that a list has handed out, because a token that comes again would make it endless.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The tokens of one list, as hashes: a long list has thousands of them.
#[derive(Debug, Default, Clone)]
pub struct SeenTokens(HashSet<u64>);

impl SeenTokens {
    /// Notes that the list goes on with `token`; false when it has done so before, at whatever distance.
    pub fn follow(&mut self, token: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        self.0.insert(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_comes_again_is_seen_at_any_distance() {
        let mut trail = SeenTokens::default();
        for page in 0..1_000 {
            assert!(trail.follow(&format!("token {page}")));
        }
        assert!(!trail.follow("token 0"));
    }
}
