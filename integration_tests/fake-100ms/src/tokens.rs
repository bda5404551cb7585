//! Management tokens: minted for tests, verified on every request.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::workspace::model::{Time, Uuid};
use crate::workspace::random::Random;

/// What a token for a test says. The default is a good management token of 24 h.
#[derive(Clone, Debug)]
pub struct TokenClaims {
    /// `management`, or another type, such as `app`.
    pub token_type: String,
    /// 2 is the only good one.
    pub version: u64,
    /// The workspace's access key when `None`.
    pub access_key: Option<String>,
    /// Only told, never checked.
    pub issued_at: DateTime<Utc>,
    /// Checked against the server's clock.
    pub not_before: DateTime<Utc>,
    /// Checked against the server's clock.
    pub expires_at: DateTime<Utc>,
    /// Signed with this instead of the workspace's present secret.
    pub secret: Option<String>,
}

impl Default for TokenClaims {
    /// Back-dated by 10 s against clock skew, as the vendor's own library does it.
    fn default() -> TokenClaims {
        let issued_at = Utc::now() - TimeDelta::seconds(10);
        TokenClaims {
            token_type: "management".to_owned(),
            version: 2,
            access_key: None,
            issued_at,
            not_before: issued_at,
            expires_at: issued_at + TimeDelta::hours(24),
            secret: None,
        }
    }
}

/// The claims on the wire.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    access_key: String,
    #[serde(rename = "type")]
    token_type: String,
    version: u64,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// The workspace's keys, and every token that was ever made or shown.
pub(crate) struct Keyring {
    random: Random,
    access_key: String,
    /// The last one is in force.
    app_secrets: Vec<String>,
    handed_out: Vec<String>,
    seen: HashSet<String>,
    void: HashSet<String>,
    /// All that were ever sent.
    sent: HashSet<String>,
}

impl Keyring {
    pub(crate) fn new(seed: u64) -> Keyring {
        let mut random = Random::new(seed, "keys");
        Keyring {
            access_key: random.hex(24),
            app_secrets: vec![app_secret(&mut random)],
            random,
            handed_out: Vec::new(),
            seen: HashSet::new(),
            void: HashSet::new(),
            sent: HashSet::new(),
        }
    }

    pub(crate) fn access_key(&self) -> &str {
        &self.access_key
    }

    pub(crate) fn app_secret(&self) -> &str {
        self.app_secrets.last().map_or("", String::as_str)
    }

    pub(crate) fn rotate(&mut self) {
        let secret = app_secret(&mut self.random);
        self.app_secrets.push(secret);
    }

    #[expect(clippy::expect_used, reason = "HS256 takes a secret of any length")]
    pub(crate) fn mint(&mut self, claims: TokenClaims) -> String {
        let wire = WireClaims {
            access_key: claims.access_key.unwrap_or_else(|| self.access_key.clone()),
            token_type: claims.token_type,
            version: claims.version,
            iat: claims.issued_at.timestamp(),
            nbf: claims.not_before.timestamp(),
            exp: claims.expires_at.timestamp(),
            jti: Uuid(self.random.uuid()).to_string(),
        };
        let secret = claims.secret.as_deref().unwrap_or(self.app_secret());
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &wire, &key).expect("a token");
        self.handed_out.push(token.clone());
        token
    }

    /// `Err` is the detail of the 401 that the API answers.
    pub(crate) fn verify(&mut self, token: Option<&str>, times: &[Time]) -> Result<(), &'static str> {
        let token = token.ok_or("not found")?;
        let claims = self.open(token).ok_or("token signature is invalid")?;
        self.check(&claims, times)?;
        if self.void.contains(token) {
            return Err("token is expired");
        }
        if !self.seen.contains(token) {
            self.seen.insert(token.to_owned());
        }
        Ok(())
    }

    /// A token is a secret whether or not it was good.
    pub(crate) fn remember(&mut self, token: Option<&str>) {
        if let Some(token) = token.filter(|token| !self.sent.contains(*token)) {
            self.sent.insert(token.to_owned());
        }
    }

    /// From now on the tokens seen so far, and the one in hand, are refused.
    pub(crate) fn void_seen(&mut self, in_hand: Option<&str>) {
        self.void.extend(self.seen.iter().cloned());
        self.void.extend(in_hand.map(str::to_owned));
    }

    fn open(&self, token: &str) -> Option<WireClaims> {
        let key = DecodingKey::from_secret(self.app_secret().as_bytes());
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below: the library would forgive a minute.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let data = jsonwebtoken::decode(token, &key, &validation).ok()?;
        Some(data.claims)
    }

    /// Good at one of the times is good enough; else the first one says what is wrong.
    fn check(&self, claims: &WireClaims, times: &[Time]) -> Result<(), &'static str> {
        let is_good = times.iter().any(|time| (claims.nbf..claims.exp).contains(&time.timestamp()));
        let now = times.first().map_or(0, Time::timestamp);
        match () {
            () if claims.access_key != self.access_key => Err("access key is unknown"),
            () if claims.token_type != "management" => Err("token is not a management token"),
            () if claims.version != 2 => Err("token version is not supported"),
            () if !is_good && claims.nbf > now => Err("token is not valid yet"),
            () if !is_good => Err("token is expired"),
            () => Ok(()),
        }
    }

    /// App secrets and tokens, those no longer good included.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let tokens = self.handed_out.iter().chain(&self.sent);
        let mut secrets: Vec<String> = self.app_secrets.iter().chain(tokens).cloned().collect();
        secrets.sort();
        secrets.dedup();
        secrets
    }
}

fn app_secret(random: &mut Random) -> String {
    format!("app-secret-{}", random.hex(64))
}
