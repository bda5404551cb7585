//! Names that say that their value is a secret: keys of objects and parameters of URLs.

use crate::streams::spelling::{Fits, LONGEST, is_one_of, last_letters};

/// What a name hides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hides {
    /// The value and what is below, but not something that is just called so: a role may have the name
    /// "token", and then its settings are no secret.
    Value,
    /// Everything below, whatever it is called.
    Everything,
}

/// The one table of names that hide something. The documentation repeats it ("What is masked").
static NAMES: &[(Fits, Hides, &[&str])] = &[
    // Storage keys of templates and rooms, and what a webhook sends to prove itself. The access key in them
    // is no secret by itself; with its secret it is one, and nobody needs it in a table.
    (Fits::End, Hides::Everything, &["credentials", "credential", "headers"]),
    // Secrets by their own word: `app_secret`, `clientSecret`, `webhook.secret`.
    (Fits::End, Hides::Value, &["secret", "secrets"]),
    // Whoever has a token is its owner: `auth_token`, `sasToken`, `X-Amz-Security-Token`. The plural is not
    // here: `max_tokens` is a number that language models are given.
    (Fits::End, Hides::Value, &["token", "cookie"]),
    (Fits::Whole, Hides::Value, &["jwt", "bearer", "sas", "jsessionid", "phpsessid"]),
    // Words that open something, and what is derived from them.
    (Fits::End, Hides::Value, &["password", "passwords", "passwd", "passphrase", "passcode", "passwordhash"]),
    (Fits::Whole, Hides::Value, &["pwd", "pass"]),
    // Keys that are said to be secret by the word before. `key` alone is an ordinary field of a room.
    (
        Fits::End,
        Hides::Value,
        &[
            "secretkey",
            "accesskey",
            "accesskeyid",
            "apikey",
            "apikeys",
            "privatekey",
            "streamkey",
            "streamkeys",
            "rtmpkey",
            "ingestkey",
            "authkey",
            "signingkey",
            "encryptionkey",
            "sharedkey",
            "accountkey",
            "masterkey",
            "storagekey",
            "sessionkey",
            "hmackey",
        ],
    ),
    // A signature lets its bearer do what was signed.
    (Fits::End, Hides::Value, &["signature"]),
    (Fits::Whole, Hides::Value, &["sig", "hmac"]),
    // What stands in the header of that name, and strings that hold a password among other settings.
    (Fits::End, Hides::Value, &["authorization", "connectionstring"]),
    (Fits::Whole, Hides::Value, &["auth"]),
];

/// Parameters of URLs that are secrets although a field of that name is not: keys of APIs, and the tokens of
/// a content delivery network.
static PARAMETERS: &[&str] = &["key", "hdnts", "hdnea", "hdntl"];

/// Where a value stands, as far as the keys above it say something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nowhere special: only what the value itself says can make it a secret.
    Open,
    /// Under a name of a secret: a text or a number is one; `true`, `false` and `null` by themselves tell nothing.
    Named,
    /// Below credentials or headers: whatever stands there is one.
    Within,
}

impl Place {
    /// The place of the value under `key`.
    pub fn below(self, key: &str) -> Self {
        match (self, what_hides(key)) {
            (Self::Within, _) | (_, Some(Hides::Everything)) => Self::Within,
            (_, Some(Hides::Value)) => Self::Named,
            (_, None) => Self::Open,
        }
    }
}

/// Whether the value of the parameter `name` of a URL is a secret.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    what_hides(name).is_some() || {
        let mut letters = [0; LONGEST];
        let letters = last_letters(name, &mut letters);
        PARAMETERS.iter().any(|parameter| parameter.as_bytes() == letters)
    }
}

fn what_hides(name: &str) -> Option<Hides> {
    let mut letters = [0; LONGEST];
    let letters = last_letters(name, &mut letters);
    NAMES.iter().find(|(fits, _, names)| is_one_of(letters, *fits, names)).map(|(_, hides, _)| *hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of the tables, for the tests that plant secrets.
    pub(in crate::streams) fn all() -> Vec<&'static str> {
        NAMES.iter().flat_map(|(_, _, names)| names.iter().copied()).collect()
    }

    #[test]
    fn names_are_known_in_every_spelling() {
        for name in [
            "secret",
            "secretKey",
            "secret_key",
            "app_secret",
            "webhookSecret",
            "clientSecret",
            "password",
            "PASSWORD",
            "passwd",
            "pwd",
            "streamKey",
            "stream_key",
            "Stream-Key",
            "rtmpStreamKey",
            "streamKey2",
            "apiKey",
            "x-api-key",
            "accessToken",
            "access_token",
            "authToken",
            "refresh_token",
            "token",
            "Authorization",
            "private_key",
            "sasToken",
            "signature",
            "X-Amz-Signature",
            "sig",
            "jwt",
            "bearer",
            "connectionString",
            "sessionToken",
            "aws_secret_access_key",
            "accessKeySecret",
            "AWSAccessKeyId",
            "proxy-authorization",
            "Set-Cookie",
        ] {
            assert_eq!(Place::Open.below(name), Place::Named, "{name}");
        }
        for name in ["credentials", "s3Credentials", "headers", "requestHeaders", "HEADERS"] {
            assert_eq!(Place::Named.below(name), Place::Within, "{name}");
        }
        assert_eq!(Place::Within.below("name"), Place::Within);
    }

    #[test]
    fn ordinary_names_say_nothing() {
        for name in [
            "key",
            "name",
            "id",
            "room_id",
            "user_id",
            "metadata",
            "description",
            "tokens",
            "max_tokens",
            "sign",
            "design",
            "author",
            "compass",
            "keys",
            "publicKey",
            "header",
            "tokenizer",
            "secretary",
            "",
            "--",
            "1",
            "Ünï",
            "a_name_that_is_longer_than_any_in_the_table",
        ] {
            assert_eq!(Place::Open.below(name), Place::Open, "{name}");
            assert_eq!(Place::Named.below(name), Place::Open, "{name}");
        }
        assert!(is_secret_parameter("key") && is_secret_parameter("user[token]") && !is_secret_parameter("page"));
    }

    #[test]
    fn the_longest_name_leaves_room_to_see_a_longer_one() {
        assert!(all().iter().all(|name| name.len() < LONGEST));
        assert!(all().iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
