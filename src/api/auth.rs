//! Tokens: minted from app credentials, or pasted by the user and read locally.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// How the connector proves who it is.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// App access key and app secret: tokens are minted and renewed as needed.
    App {
        /// The public half.
        access_key: String,
        /// Signs the tokens.
        app_secret: SecretString,
    },
    /// A management token copied from the dashboard.
    Token(SecretString),
}

/// How long a minted token is valid: 24 h, as the vendor's SDK has it.
const LIFETIME: TimeDelta = TimeDelta::hours(24);
/// `iat` and `nbf` lie this far back, as in the vendor's SDK: clocks differ.
const BACKDATE: TimeDelta = TimeDelta::seconds(10);
/// A minted token is replaced this long before it expires, so that no request carries a dying one.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(30);

/// The claims of a management token ("Tokens" in the API reference).
#[derive(Serialize)]
struct MintedClaims<'a> {
    access_key: &'a str,
    r#type: &'static str,
    version: u8,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// The claims that decide whether a pasted token can work.
#[derive(Debug, Deserialize)]
struct PastedClaims {
    r#type: Option<String>,
    // JWT dates may carry fractions (RFC 7519, NumericDate).
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// What is known of a pasted token without asking 100ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenProblem {
    /// Not three base64url parts with JSON claims.
    NotAToken,
    /// A token of another type, such as a client's app token.
    WrongType(String),
    /// It was valid once.
    Expired(DateTime<Utc>),
    /// It will be valid.
    NotYetValid(DateTime<Utc>),
}

fn inspect(token: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, TokenProblem> {
    let claims = read_claims(token).ok_or(TokenProblem::NotAToken)?;
    match claims.r#type {
        Some(kind) if kind != "management" => return Err(TokenProblem::WrongType(kind)),
        _ => {}
    }
    let expires = claims.exp.and_then(date);
    if let Some(expires) = expires.filter(|expires| *expires <= now) {
        return Err(TokenProblem::Expired(expires));
    }
    match claims.nbf.and_then(date) {
        Some(begins) if begins > now + TimeDelta::minutes(5) => Err(TokenProblem::NotYetValid(begins)),
        _ => Ok(expires),
    }
}

/// When a pasted token expires, if it says so.
///
/// # Errors
/// When the token cannot work at `now`.
pub fn expiry(token: &SecretString, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, TokenProblem> {
    inspect(token.expose_secret(), now)
}

fn date(seconds: f64) -> Option<DateTime<Utc>> {
    // The cast saturates; chrono refuses what no calendar holds.
    DateTime::from_timestamp(seconds as i64, 0)
}

fn read_claims(token: &str) -> Option<PastedClaims> {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || header.is_empty() || signature.is_empty() {
        return None;
    }
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    serde_json::from_slice::<serde::de::IgnoredAny>(&decode(header)?).ok()?;
    serde_json::from_slice(&decode(claims)?).ok()
}

/// A token to send, with the number of its generation.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) generation: u32,
}

/// Hands out the token of the moment.
pub(super) struct Tokens {
    credentials: Credentials,
    minted: Mutex<Option<(Token, DateTime<Utc>)>>,
}

impl Tokens {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, minted: Mutex::new(None) }
    }

    /// The token to send now; minted or renewed when it must be.
    pub(super) fn current(&self) -> Result<Token, String> {
        self.token(|_| false)
    }

    /// A token younger than `refused`, or `None` when there is nothing to mint from.
    ///
    /// Workers whose token was refused at the same time get the same fresh one.
    pub(super) fn after_refusal(&self, refused: &Token) -> Option<Token> {
        match self.credentials {
            Credentials::Token(_) => None,
            Credentials::App { .. } => self.token(|current| current.generation <= refused.generation).ok(),
        }
    }

    fn token(&self, outdated: impl Fn(&Token) -> bool) -> Result<Token, String> {
        let (access_key, app_secret) = match &self.credentials {
            Credentials::Token(token) => return Ok(Token { value: token.clone(), generation: 0 }),
            Credentials::App { access_key, app_secret } => (access_key, app_secret),
        };
        let now = Utc::now();
        let mut minted = self.minted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let generation = match &*minted {
            Some((token, renew_at)) if now < *renew_at && !outdated(token) => return Ok(token.clone()),
            Some((token, _)) => token.generation + 1,
            None => 1,
        };
        let token = Token { value: mint(access_key, app_secret, now)?, generation };
        *minted = Some((token.clone(), now + LIFETIME - RENEW_BEFORE));
        Ok(token)
    }
}

fn mint(access_key: &str, app_secret: &SecretString, now: DateTime<Utc>) -> Result<SecretString, String> {
    let begins = (now - BACKDATE).timestamp();
    let claims = MintedClaims {
        access_key,
        r#type: "management",
        version: 2,
        iat: begins,
        nbf: begins,
        exp: (now + LIFETIME).timestamp(),
        jti: uuid::Uuid::new_v4().to_string(),
    };
    let key = EncodingKey::from_secret(app_secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key)
        .map(SecretString::from)
        .map_err(|_| "a management token could not be signed with the app secret".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(claims: serde_json::Value) -> String {
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_pasted_token_is_judged_by_its_claims() {
        let claims = |exp: i64| serde_json::json!({"type": "management", "exp": exp, "nbf": 100});
        assert_eq!(inspect(&pasted(claims(2000)), at(1000)), Ok(Some(at(2000))));
        assert_eq!(inspect(&pasted(claims(1000)), at(1000)), Err(TokenProblem::Expired(at(1000))));
        let early = serde_json::json!({"type": "management", "exp": 9000, "nbf": 2000});
        assert_eq!(inspect(&pasted(early), at(1000)), Err(TokenProblem::NotYetValid(at(2000))));
        let app = serde_json::json!({"type": "app", "exp": 9000});
        assert_eq!(inspect(&pasted(app), at(1000)), Err(TokenProblem::WrongType("app".into())));
        for not_a_token in ["", "abc", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30", "....", "é.é.é"] {
            assert_eq!(inspect(not_a_token, at(0)), Err(TokenProblem::NotAToken), "{not_a_token}");
        }
    }

    #[test]
    fn minted_tokens_are_reused_until_refused() {
        let tokens = Tokens::new(Credentials::App { access_key: "a".into(), app_secret: "s".into() });
        let first = tokens.current().unwrap();
        let value = |token: &Token| token.value.expose_secret().to_owned();
        assert_eq!(value(&first), value(&tokens.current().unwrap()));
        let second = tokens.after_refusal(&first).unwrap();
        assert_ne!(value(&first), value(&second));
        // A worker that was refused with the first token, too late, does not mint a third.
        assert_eq!(value(&tokens.after_refusal(&first).unwrap()), value(&second));
    }

    #[test]
    fn a_pasted_token_cannot_be_renewed_and_is_not_printed() {
        let credentials = Credentials::Token("hush-hush-1234".into());
        assert!(!format!("{credentials:?}").contains("hush"));
        let tokens = Tokens::new(credentials);
        let token = tokens.current().unwrap();
        assert!(tokens.after_refusal(&token).is_none());
    }
}
