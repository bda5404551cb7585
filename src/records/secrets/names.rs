//! Names that say something about secrets: keys of objects and parameters of URLs.

use std::sync::LazyLock;

use crate::records::spelling::{LONGEST, Names, last_letters};

/// The one table of names, each with the place of its value; the first that fits counts. The documentation repeats it
/// ("What is masked").
static NAMES: &[(Place, &str)] = &[
    // Storage keys of templates and rooms, and what a webhook sends to prove itself. The access key in them
    // is no secret by itself; with its secret it is one, and nobody needs it in a table.
    (Place::Within, "*credentials *credential *headers"),
    // Secrets by their own word: `app_secret`, `clientSecret`, `webhook.secret`.
    (Place::Named, "*secret *secrets"),
    // Whoever has a token is its owner: `auth_token`, `sasToken`, `X-Amz-Security-Token`. The plural is not
    // here: `max_tokens` is a number that language models are given.
    (Place::Named, "*token *cookie jwt bearer sas jsessionid phpsessid"),
    // Words that open something. A room code does so for ever.
    (Place::Named, "*password *passwords *passwd *passphrase *passcode *passwordhash *roomcode *roomcodes pwd pass"),
    // Keys that are said to be secret by the word before. `key` alone is an ordinary field of a room.
    (
        Place::Named,
        "*secretkey *accesskey *accesskeyid *apikey *apikeys *privatekey *streamkey *streamkeys *rtmpkey *ingestkey \
         *authkey *signingkey *encryptionkey *decryptionkey *sharedkey *accountkey *masterkey *storagekey *sessionkey \
         *hmackey *sshkey *clientkey *serverkey *servicekey *webhookkey *publishkey",
    ),
    // The keys of an account of Google's, in one document.
    (Place::Named, "*serviceaccount"),
    // A signature lets its bearer do what was signed.
    (Place::Named, "*signature sig hmac"),
    // What stands in the header of that name, and strings that hold a password among other settings.
    (Place::Named, "*authorization *connectionstring auth"),
    // Objects whose `key` is a secret: that of an `ingest` is an ingest key.
    (
        Place::Owner,
        "*access *api *private *stream *streams *rtmp *srt *ingest *auth *signing *encryption *decryption *account *ssh",
    ),
    // The path of a webhook's URL is often a secret.
    (Place::WebhookUrl, "*webhookurl *webhookurls *webhookuri *webhookendpoint"),
    (Place::Webhook, "*webhook *webhooks"),
    (Place::Metadata, "*metadata"),
];

/// Names whose value is a secret below an owner.
static KEYS: &str = "key keys";

/// Endings of names whose value is an address, below a webhook that of the webhook.
static ADDRESSES: &str = "url urls uri endpoint";

/// Endings that tell how a value is written, as in `serviceAccountJson`: the name before them says what it is.
static FORMS: &str =
    "*field *value *text *string *json *raw *data *file *pem *base *content *plain *encoded *hash *header";

/// Words that make a secret of the name they stand in, wherever they stand: `secretForWebhooks`, `password_v2b`.
static WORDS: &[(Place, &[&str])] = &[
    (Place::Named, &["secret", "secrets", "password", "passwords", "passphrase"]),
    (Place::Within, &["credential", "credentials"]),
];

/// Endings of names with such a word that speak of the secret and do not hold it: `secret_name`, `passwordUpdatedAt`.
static ABOUT: &str = "type name count length policy at expiry expires enabled required status";

/// Parameters of URLs that are secrets although a field of that name is not: keys of APIs, and the tokens of
/// a content delivery network.
static PARAMETERS: &str = "key hdnts hdnea hdntl";

/// Words that apps use for other things as well: a game may have a `token`.
static ORDINARY: &str =
    "secret secrets token cookie password passwords passphrase passcode pass pwd auth signature sig bearer";

/// Where a value stands, as far as the keys above it say something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nowhere special: only what the value itself says can make it a secret.
    Open,
    /// In something whose `key` is a secret.
    Owner,
    /// In what an app attached to somebody.
    Metadata,
    /// In a document that an app wrote into a text: there a single ordinary word says nothing.
    Document,
    /// In what describes a webhook: of its URL only the host is told.
    Webhook,
    /// The address of a webhook.
    WebhookUrl,
    /// Under a name of a secret: a text or a number is one; `true`, `false` and `null` by themselves tell nothing.
    Named,
    /// Below credentials or headers: whatever stands there is one.
    Within,
}

impl Place {
    /// The place of the value under `key`.
    pub fn below(self, key: &str) -> Self {
        let mut letters = [0; LONGEST];
        let letters = last_letters(key, &mut letters);
        match (self, what_says(key, letters)) {
            (Self::Within, _) | (_, Some(Self::Within)) => Self::Within,
            (Self::Document, Some(Self::Named)) if is_in(ORDINARY, letters) => self,
            (Self::Owner, None) if is_in(KEYS, letters) => Self::Named,
            (Self::Webhook, None) if ends_in(ADDRESSES, letters) => Self::WebhookUrl,
            (_, Some(place @ (Self::Named | Self::WebhookUrl | Self::Webhook | Self::Owner))) => place,
            (Self::Webhook | Self::Document, _) => self,
            (_, said) => said.unwrap_or(Self::Open),
        }
    }

    /// Whether what stands there is a secret, whatever it is.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Named | Self::Within)
    }
}

/// Whether the value of the parameter `name` of a URL is a secret.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    let mut letters = [0; LONGEST];
    let letters = last_letters(name, &mut letters);
    what_says(name, letters).is_some_and(Place::is_secret) || is_in(PARAMETERS, letters)
}

/// Whether `letters` are one of the words of a list.
fn is_in(list: &str, letters: &[u8]) -> bool {
    list.split(' ').any(|word| word.as_bytes() == letters)
}

/// Whether `letters` end in one of the words of a list.
fn ends_in(list: &str, letters: &[u8]) -> bool {
    list.split(' ').any(|word| letters.ends_with(word.as_bytes()))
}

/// The place that `name`, which ends with these `letters`, says of its value.
fn what_says(name: &str, letters: &[u8]) -> Option<Place> {
    static TABLES: LazyLock<[Names<Place>; 2]> = LazyLock::new(|| [NAMES, &[(Place::Open, FORMS)]].map(Names::of));
    let [names, forms] = &*TABLES;
    // A short word before a form is too little: `pass` in `passData` may be anything.
    let before_form = || {
        let (.., form) = forms.find(letters)?;
        let said = names.find(&letters[..letters.len() - form.len()]);
        said.filter(|(is_ending, place, _)| *is_ending && place.is_secret())
    };
    match names.find(letters).or_else(before_form) {
        Some((_, place, _)) if place.is_secret() => Some(place),
        other => by_word(name, letters).or(other.map(|(_, place, _)| place)),
    }
}

/// What the words in `name` say.
fn by_word(name: &str, letters: &[u8]) -> Option<Place> {
    let bytes = name.as_bytes();
    let is_edge = |at: usize| match (at.checked_sub(1).map(|before| bytes[before]), bytes.get(at)) {
        (Some(before), Some(next)) if before.is_ascii_alphabetic() && next.is_ascii_alphabetic() => {
            next.is_ascii_uppercase() && !before.is_ascii_uppercase()
        }
        _ => true,
    };
    let stands_at = |at: usize, word: &str| {
        let part = bytes.get(at..at + word.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes())) && is_edge(at + word.len())
    };
    let word_at = |at: usize| WORDS.iter().find(|(_, words)| words.iter().any(|word| stands_at(at, word)));
    let may_begin = |at: &usize| matches!(bytes[*at] | 0x20, b's' | b'p' | b'c') && is_edge(*at);
    let (place, _) = (0..bytes.len()).filter(may_begin).find_map(word_at)?;
    (!ends_in(ABOUT, letters)).then_some(*place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of the tables, for the tests that plant secrets.
    pub(in crate::records) fn all() -> Vec<&'static str> {
        let names = NAMES.iter().filter(|(place, _)| place.is_secret()).flat_map(|(_, names)| names.split(' '));
        names.map(|name| name.trim_start_matches('*')).collect()
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
            "secretField",
            "SECRETFIELD",
            "secret_for_webhooks",
            "passwordV2b",
            "serviceAccountJson",
            "gcp_service_account",
            "privateKeyPem",
            "authTokenValue",
            "room_code",
            "ingest.key",
        ] {
            assert_eq!(Place::Open.below(name), Place::Named, "{name}");
            assert_eq!(Place::Webhook.below(name), Place::Named, "{name}");
        }
        for name in [
            "credentials",
            "s3Credentials",
            "headers",
            "requestHeaders",
            "HEADERS",
            "credentialsJson",
            "credentialsOfBucket",
        ] {
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
            "token_type",
            "secretName",
            "password_policy",
            "passwordUpdatedAt",
            "credential_type",
            "context",
            "passData",
            "compassField",
        ] {
            assert_eq!(Place::Open.below(name), Place::Open, "{name}");
            assert_eq!(Place::Named.below(name), Place::Open, "{name}");
        }
        assert!(is_secret_parameter("key") && is_secret_parameter("user[token]") && !is_secret_parameter("page"));
    }

    #[test]
    fn a_key_is_a_secret_by_what_it_is_the_key_of() {
        for owner in ["ingest", "rtmpIngest", "stream", "api"] {
            assert_eq!(Place::Open.below(owner).below("key"), Place::Named, "{owner}");
            assert_eq!(Place::Open.below(owner).below("name"), Place::Open, "{owner}");
        }
        for owner in ["room", "roles", "recording", "host"] {
            assert_eq!(Place::Open.below(owner).below("key"), Place::Open, "{owner}");
        }
    }

    #[test]
    fn the_address_of_a_webhook_is_found_by_its_name_or_by_what_is_around_it() {
        assert_eq!(Place::Open.below("webhook").below("config").below("url"), Place::WebhookUrl);
        assert_eq!(Place::Open.below("webhookUrl"), Place::WebhookUrl);
        assert_eq!(Place::Open.below("url"), Place::Open);
        assert_eq!(Place::Open.below("webhook").below("secret"), Place::Named);
    }

    #[test]
    fn a_single_ordinary_word_says_nothing_in_a_document_of_an_app() {
        for (name, place) in [
            ("token", Place::Document),
            ("password", Place::Document),
            ("authToken", Place::Named),
            ("secretKey", Place::Named),
            ("credentials", Place::Within),
        ] {
            assert_eq!(Place::Document.below("a").below(name), place, "{name}");
        }
    }

    #[test]
    fn the_longest_name_leaves_room_to_see_a_longer_one() {
        assert!(all().iter().all(|name| name.len() < LONGEST));
        assert!(all().iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
