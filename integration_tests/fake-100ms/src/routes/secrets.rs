//! Secrets in every place of an answer, whether a document knows the place or not.

use serde_json::{Map, Value, json};

/// Names that tell a secret, in the spellings that people use.
const KEYS: [&str; 66] = [
    "secret",
    "secretKey",
    "secret_key",
    "client_secret",
    "clientSecret",
    "app_secret",
    "appSecret",
    "webhookSecret",
    "webhook_secret",
    "signing_secret",
    "password",
    "passwd",
    "Password",
    "userPassword",
    "db_password",
    "passphrase",
    "streamKey",
    "stream_key",
    "rtmpStreamKey",
    "stream-key",
    "apiKey",
    "api_key",
    "apikey",
    "API_KEY",
    "x-api-key",
    "X-Api-Key",
    "accessKey",
    "access_key",
    "accessKeyId",
    "aws_access_key_id",
    "secretAccessKey",
    "aws_secret_access_key",
    "privateKey",
    "private_key",
    "encryptionKey",
    "encryption_key",
    "signingKey",
    "signing_key",
    "accountKey",
    "sharedAccessKey",
    "sasToken",
    "sas_token",
    "accessToken",
    "access_token",
    "authToken",
    "auth_token",
    "refreshToken",
    "refresh_token",
    "idToken",
    "sessionToken",
    "session_token",
    "security_token",
    "managementToken",
    "management_token",
    "bearerToken",
    "authorization",
    "Authorization",
    "jwt",
    "credentials",
    "credential",
    "headers",
    "cookie",
    "secretField",
    "serviceAccountJson",
    "roomCode",
    "ingest",
];

/// URLs that hold one: `{}` stands for it.
const URLS: [&str; 22] = [
    "https://user:{}@host.example/path",
    "https://{}@host.example/path",
    "https://host.example/path?token={}",
    "https://host.example/path?a=1&jwt={}&b=2",
    "https://host.example/path?access_token={}",
    "https://host.example/path?auth_token={}#there",
    "https://host.example/path?authToken={}",
    "https://host.example/path?sig={}&sp=r",
    "https://host.example/path?Signature={}&Expires=1",
    "https://host.example/path?X-Amz-Signature={}",
    "https://host.example/path?X-Amz-Security-Token={}",
    "https://host.example/path?X-Goog-Signature={}",
    "https://host.example/path?apiKey={}",
    "https://host.example/path?password={}",
    "https://host.example/path?to%6Ben={}",
    "https://host.example/path#access_token={}",
    "rtmp://host.example/live/{}",
    "rtmps://host.example:443/app/instance/{}?x=y",
    "RTMP://HOST.EXAMPLE/live/{}",
    "rtmp://user:{}@host.example/live/key",
    "https://host.100ms.live/meeting/{}?skip_preview=true",
    "{\"credentials\":{\"key\":\"{}\"}}",
];

/// How many members an object gets: all names come up, and pages stay of a size.
const MEMBERS: usize = 6;

/// Makes secrets and remembers them.
#[derive(Default)]
pub(crate) struct Planter {
    pub(crate) planted: Vec<String>,
    members: usize,
    urls: usize,
}

impl Planter {
    /// No two are the same, and no text holds one by chance.
    fn secret(&mut self) -> String {
        let number = self.planted.len() as u64;
        let digits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5bf0_3635_dcf5_6c1d;
        let secret = format!("PLANTED-everywhere-{number}-{digits:016x}");
        self.planted.push(secret.clone());
        secret
    }

    fn url(&mut self) -> String {
        self.urls += 1;
        URLS[self.urls % URLS.len()].replace("{}", &self.secret())
    }

    /// In every object and every text of the answer.
    pub(crate) fn plant(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.plant(item)),
            Value::Object(members) => self.plant_in_object(members),
            _ => {}
        }
    }

    fn plant_in_object(&mut self, members: &mut Map<String, Value>) {
        // A link to a file is a secret that its column is there to tell.
        let is_link = members.contains_key("expiry");
        for (key, member) in members.iter_mut() {
            match member {
                Value::String(_) if is_link && key == "url" => {}
                Value::String(text) if !is_needed(key, text) => *text = self.url(),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    items.iter_mut().for_each(|item| *item = self.url().into());
                }
                other => self.plant(other),
            }
        }
        // Keyed by an id, every member is an object: one more would be a peer, a role or a destination.
        let is_map = !members.is_empty() && members.values().all(Value::is_object);
        if !is_map {
            for _ in 0..MEMBERS {
                self.members += 1;
                let key = KEYS[self.members % KEYS.len()];
                if members.contains_key(key) {
                    continue;
                }
                let secret = match self.members / KEYS.len() % 4 {
                    _ if key == "ingest" => json!({"key": self.secret()}),
                    0 => json!(self.secret()),
                    1 => json!({"value": self.secret(), "more": [self.secret()]}),
                    2 => json!([self.secret(), {"x": self.secret()}]),
                    _ => json!(self.url()),
                };
                members.insert(key.to_owned(), secret);
            }
        }
    }
}

/// Texts without which the answer would be about nothing: ids, times, page tokens, and words of
/// which the documents name each.
fn is_needed(key: &str, text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "id",
        "_id",
        "last",
        "next",
        "type",
        "status",
        "role",
        "rid",
        "version",
        "timestamp",
        "expiry",
        "event_name",
        "original_event_name",
        "key",
    ];
    let is_time = text.len() >= 20 && text.as_bytes()[4] == b'-' && text.ends_with('Z');
    WORDS.contains(&key) || key.ends_with("_id") || key.ends_with("Id") || key.ends_with("_at") || is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_and_every_text_holds_a_secret_of_its_own() {
        let mut planter = Planter::default();
        let mut answer = json!({"limit": 1, "last": "a", "data": [{"id": "a", "name": "n", "list": ["x"], "peers": {
            "p": {"joined_at": "2025-06-15T12:00:00Z"}}}]});
        planter.plant(&mut answer);
        let text = answer.to_string();
        assert!(planter.planted.iter().all(|secret| text.matches(secret.as_str()).count() == 1));
        assert!(planter.planted.len() > 3 * MEMBERS && answer["data"][0]["peers"]["p"].as_object().is_some());
        let item = &answer["data"][0];
        assert_eq!((&item["id"], item["peers"].as_object().map(Map::len)), (&json!("a"), Some(1)));
        assert!(item["name"].as_str().is_some_and(|name| name.contains("PLANTED-")));
        assert!(item["list"][0].as_str().is_some_and(|name| name.contains("PLANTED-")));
    }

    #[test]
    fn every_name_and_every_url_comes_up() {
        let mut planter = Planter::default();
        let objects: Vec<Value> = (0..200).map(|_| json!({"name": "n"})).collect();
        let mut answer = Value::Array(objects);
        planter.plant(&mut answer);
        let text = answer.to_string();
        assert!(KEYS.iter().all(|key| text.contains(&format!("\"{key}\":"))));
        let written = |url: &str| Value::from(url.split("{}").next()).to_string();
        assert!(URLS.iter().all(|url| text.contains(written(url).trim_matches('"'))));
    }
}
