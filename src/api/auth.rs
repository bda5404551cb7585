//! Tokens: minted from app credentials, or pasted by the user and read locally.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::clocks::{day, differ};
use super::error::Problem;
use crate::seams::{self, locked};

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

/// When a pasted token expires, if its claims name a time.
///
/// # Errors
/// When the token cannot work at `now`, as is known of it without asking 100ms: a sentence for the user.
pub fn expiry(token: &SecretString, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, String> {
    const ADVICE: &str = "use app credentials, which do not expire, or paste a new token";
    let claims = read_claims(token.expose_secret()).ok_or("The setting `management_token` does not hold a management token: copy it again from the Developer section of the 100ms dashboard.")?;
    if let Some(kind) = claims.get("type").filter(|kind| !kind.is_null() && **kind != "management") {
        let kind: String =
            kind.as_str().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        return Err(format!(
            "`management_token` is a token of type `{kind}`, not `management`: {ADVICE} of type management."
        ));
    }
    match (date(&claims, "nbf"), date(&claims, "exp")) {
        (_, Some(expires)) if expires <= now => {
            Err(format!("The management token expired on {}: {ADVICE}.", day(expires)))
        }
        (Some(begins), _) if begins > now + TimeDelta::minutes(5) => Err(format!(
            "The management token is not valid before {}: check this machine's clock, or use app credentials.",
            day(begins)
        )),
        (_, expires) => Ok(expires),
    }
}

/// The time in a claim: seconds since 1970, maybe with a fraction (RFC 7519, NumericDate).
fn date(claims: &Map<String, Value>, name: &str) -> Option<DateTime<Utc>> {
    // The cast saturates; chrono refuses what no calendar holds.
    DateTime::from_timestamp(claims.get(name)?.as_f64()? as i64, 0)
}

fn read_claims(token: &str) -> Option<Map<String, Value>> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    serde_json::from_slice::<IgnoredAny>(&decode(header)?).ok()?;
    serde_json::from_slice(&decode(claims)?).ok().filter(|_| !signature.is_empty())
}

/// A token to send.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// How far the clock that it was minted by is ahead of this machine's.
    ahead: TimeDelta,
}

impl Token {
    fn new(value: &SecretString, ahead: TimeDelta) -> Result<Self, Problem> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", value.expose_secret()))
            .map_err(|_| Problem::Credentials("the management token holds characters no token has".into()))?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, ahead })
    }
}

/// Called with every token that is minted, before it is sent.
pub type OnMinted = Arc<dyn Fn(&str) + Send + Sync>;

/// Hands out the token of the moment.
pub(super) struct Tokens {
    credentials: Credentials,
    on_minted: OnMinted,
    /// The token of the moment, and when it is renewed.
    minted: Mutex<Option<(Token, DateTime<Utc>)>>,
    /// The `ahead` of the last token that 100ms accepted.
    accepted: Mutex<Option<TimeDelta>>,
}

impl Tokens {
    pub(super) fn new(credentials: Credentials, on_minted: OnMinted) -> Self {
        Self { credentials, on_minted, minted: Mutex::default(), accepted: Mutex::default() }
    }

    /// The token to send now; minted or renewed when it must be.
    pub(super) fn current(&self) -> Result<Token, Problem> {
        let (access_key, app_secret) = match &self.credentials {
            Credentials::App { access_key, app_secret } => (access_key, app_secret),
            Credentials::Token(token) => return Token::new(token, TimeDelta::zero()),
        };
        let now = seams::now();
        let mut minted = locked(&self.minted);
        let ahead = match &*minted {
            Some((token, renew_at)) if now < *renew_at => return Ok(token.clone()),
            Some((token, _)) => token.ahead,
            None => TimeDelta::zero(),
        };
        let value = mint(access_key, app_secret, now.checked_add_signed(ahead).unwrap_or(now))?;
        (self.on_minted)(value.expose_secret());
        let token = Token::new(&value, ahead)?;
        *minted = Some((token.clone(), now + LIFETIME - RENEW_BEFORE));
        Ok(token)
    }

    /// Has the next token minted anew, after `refused` was; `skew` is how far the server's clock is ahead.
    ///
    /// Workers whose token was refused at the same time get the same fresh one. It goes by the server's clock where the
    /// two differ, whatever clock has worked before: one of them may have been set meanwhile. When a token by this very
    /// clock was refused already (a proxy may have written the `Date`), it goes by this machine's. A 403 may be about what
    /// was requested (`may_be_item`), and then says nothing against a clock that has worked.
    pub(super) fn renew(&self, refused: &Token, skew: Option<TimeDelta>, may_be_item: bool) {
        let has_worked = *locked(&self.accepted) == Some(refused.ahead);
        let mut minted = locked(&self.minted);
        if let Some((token, renew_at)) = &mut *minted
            && token.authorization == refused.authorization
        {
            *renew_at = DateTime::<Utc>::MIN_UTC;
            let is_refused_clock = |skew: &TimeDelta| differ(*skew, refused.ahead).is_none();
            if !(may_be_item && has_worked) {
                token.ahead = skew.filter(|skew| !is_refused_clock(skew)).unwrap_or_default();
            }
        }
    }

    /// Notes that 100ms accepted `token`; true when it is the first one by the server's clock instead of this
    /// machine's.
    pub(super) fn accepted(&self, token: &Token) -> bool {
        let before = locked(&self.accepted).replace(token.ahead);
        !token.ahead.is_zero() && before != Some(token.ahead)
    }

    /// Whether 100ms has ever accepted a token of ours.
    pub(super) fn have_worked(&self) -> bool {
        locked(&self.accepted).is_some()
    }

    /// Whether tokens are minted here, rather than pasted.
    pub(super) fn are_minted(&self) -> bool {
        matches!(self.credentials, Credentials::App { .. })
    }
}

/// A management token ("Tokens" in the API reference).
fn mint(access_key: &str, app_secret: &SecretString, now: DateTime<Utc>) -> Result<SecretString, Problem> {
    let begins = now.timestamp() - BACKDATE.num_seconds();
    let claims = json!({
        "access_key": access_key,
        "type": "management",
        "version": 2,
        "iat": begins,
        "nbf": begins,
        "exp": now.timestamp() + LIFETIME.num_seconds(),
        "jti": uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid().to_string(),
    });
    let key = EncodingKey::from_secret(app_secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key)
        .map(SecretString::from)
        .map_err(|_| Problem::Credentials("a management token could not be signed with the app secret".into()))
}

/// When a token begins to be valid.
#[cfg(test)]
pub(super) fn begins(token: &str) -> Option<DateTime<Utc>> {
    date(&read_claims(token)?, "nbf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(claims: serde_json::Value) -> SecretString {
        jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap().into()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_pasted_token_is_judged_by_its_claims() {
        let claims = |exp: i64| serde_json::json!({"type": "management", "exp": exp, "nbf": 100});
        assert_eq!(expiry(&pasted(claims(2000)), at(1000)), Ok(Some(at(2000))));
        let refused = |token: &SecretString, now: i64, words: &str| {
            let refusal = expiry(token, at(now)).unwrap_err();
            assert!(refusal.contains(words), "{words}: {refusal}");
        };
        let (ended, now) = (at(1_746_266_400), 1_746_266_400);
        assert_eq!(
            expiry(&pasted(claims(now)), ended).unwrap_err(),
            "The management token expired on 3 May 2025 at 10:00 UTC: use app credentials, which do not expire, or paste a new token."
        );
        let early = serde_json::json!({"type": "management", "exp": 9000, "nbf": 2000});
        refused(&pasted(early), 1000, "is not valid before 1 January 1970 at 00:33 UTC");
        refused(&pasted(serde_json::json!({"type": "`app`", "exp": 9000})), 1000, "is a token of type `app`");
        for not_a_token in ["", "abc", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30", "....", "é.é.é"] {
            refused(&not_a_token.into(), 0, "does not hold a management token");
        }
    }

    fn tokens(credentials: Credentials) -> (Tokens, Arc<Mutex<Vec<String>>>) {
        let minted: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&minted);
        (Tokens::new(credentials, Arc::new(move |token| notes.lock().unwrap().push(token.into()))), minted)
    }

    fn app() -> Credentials {
        Credentials::App { access_key: "a".into(), app_secret: "s".into() }
    }

    fn current(tokens: &Tokens) -> (Token, String) {
        let token = tokens.current().unwrap();
        let value = token.authorization.to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        (token, value)
    }

    /// How far in the future a token begins, in seconds.
    fn begins_in(value: &str) -> i64 {
        begins(value).unwrap().timestamp() - Utc::now().timestamp()
    }

    #[test]
    fn minted_tokens_are_reused_until_refused_and_told() {
        let (tokens, minted) = tokens(app());
        let (first, value) = current(&tokens);
        assert_eq!(value, current(&tokens).1);
        tokens.renew(&first, None, false);
        let second = current(&tokens).1;
        assert_ne!(value, second);
        // A worker that was refused with the first token, too late, does not have a third one minted.
        tokens.renew(&first, None, false);
        assert_eq!(second, current(&tokens).1);
        assert_eq!(*minted.lock().unwrap(), [value, second]);
    }

    #[test]
    fn a_token_that_never_worked_is_minted_by_the_other_clock() {
        let (tokens, _) = tokens(app());
        let slow = Some(TimeDelta::seconds(-300));
        let (first, value) = current(&tokens);
        assert!((-12..=-9).contains(&begins_in(&value)));
        tokens.renew(&first, slow, false);
        let (second, value) = current(&tokens);
        assert!((-312..=-309).contains(&begins_in(&value)), "by the server's clock");
        tokens.renew(&second, slow, false);
        let (_, value) = current(&tokens);
        assert!((-12..=-9).contains(&begins_in(&value)), "by this machine's again");
    }

    #[test]
    fn a_clock_that_is_set_right_is_minted_by() {
        let (tokens, _) = tokens(app());
        tokens.renew(&current(&tokens).0, Some(TimeDelta::seconds(-300)), false);
        let (second, _) = current(&tokens);
        tokens.accepted(&second);
        assert!(tokens.have_worked());
        // Either clock was set: the two agree now, or differ in another way.
        tokens.renew(&second, None, false);
        let (third, value) = current(&tokens);
        assert!((-12..=-9).contains(&begins_in(&value)));
        tokens.accepted(&third);
        tokens.renew(&third, Some(TimeDelta::hours(-2)), false);
        assert!((-7_212..=-7_209).contains(&begins_in(&current(&tokens).1)));
    }

    /// A room that is disabled answers 403, whatever the token.
    #[test]
    fn a_403_says_nothing_against_a_clock_that_has_worked() {
        let (tokens, minted) = tokens(app());
        let slow = Some(TimeDelta::seconds(-300));
        tokens.renew(&current(&tokens).0, slow, false);
        tokens.accepted(&current(&tokens).0);
        for _ in 0..3 {
            tokens.renew(&current(&tokens).0, slow, true);
            assert!((-312..=-309).contains(&begins_in(&current(&tokens).1)), "by the server's clock");
        }
        assert_eq!(minted.lock().unwrap().len(), 5, "and yet it may have been the token");
    }

    #[test]
    fn no_skew_is_too_large_to_mint_by() {
        for skew in [TimeDelta::MAX, TimeDelta::MIN] {
            let (tokens, _) = tokens(app());
            tokens.renew(&current(&tokens).0, Some(skew), false);
            assert!(tokens.current().is_ok());
        }
    }

    #[test]
    fn a_pasted_token_stays_the_same_and_is_not_printed() {
        let credentials = Credentials::Token("hush-hush-1234".into());
        assert!(!format!("{credentials:?}").contains("hush"));
        let (tokens, minted) = tokens(credentials);
        let (token, value) = current(&tokens);
        tokens.renew(&token, None, false);
        assert_eq!(value, current(&tokens).1);
        assert!(minted.lock().unwrap().is_empty());
    }
}
