//! What a connector must hide: the value goes, the key stays.

use serde_json::Value;

/// What stands for a secret.
pub(crate) const MASK: &str = "**********";

/// An inner object of the API with every secret in it hidden.
pub(crate) fn masked(value: &Value) -> Value {
    let mut value = value.clone();
    hide_within(&mut value);
    value
}

fn hide_within(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_within),
        Value::String(text) if is_rtmp(text) => *text = masked_rtmp_url(text),
        Value::Object(members) => {
            for (key, member) in members {
                match key.as_str() {
                    "credentials" => hide_leaves(member),
                    "rtmpUrls" => hide_stream_keys(member),
                    "meeting_url" => hide_token(member),
                    _ => hide_within(member),
                }
            }
        }
        _ => {}
    }
}

/// A room's webhook: besides everything else, the values of its headers, and all of its URL but the host.
pub(crate) fn masked_webhook(webhook: &Value) -> Value {
    let mut webhook = masked(webhook);
    if let Some(url) = webhook.get_mut("url") {
        *url = url.as_str().map(host).into();
    }
    if let Some(headers) = webhook.get_mut("headers") {
        hide_leaves(headers);
    }
    webhook
}

fn hide_leaves(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter_mut().for_each(hide_leaves),
        Value::Object(members) => members.values_mut().for_each(hide_leaves),
        leaf => *leaf = MASK.into(),
    }
}

/// A URL may hold a secret in its path, its query and before its host: only the host is said.
pub(crate) fn host(url: &str) -> &str {
    let authority = url.split("://").nth(1).unwrap_or(url).split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    host.split(':').next().unwrap_or("")
}

fn is_rtmp(text: &str) -> bool {
    text.starts_with("rtmp://") || text.starts_with("rtmps://")
}

/// A list of RTMP addresses.
pub(crate) fn masked_rtmp_urls(urls: &Value) -> Value {
    let mut urls = urls.clone();
    hide_stream_keys(&mut urls);
    urls
}

fn hide_stream_keys(urls: &mut Value) {
    for url in urls.as_array_mut().into_iter().flatten() {
        if let Some(text) = url.as_str() {
            *url = masked_rtmp_url(text).into();
        }
    }
}

/// The last segment of the path and the query.
fn masked_rtmp_url(url: &str) -> String {
    let path = url.split('?').next().unwrap_or(url);
    match path.rsplit_once('/') {
        Some((rest, _)) if !rest.ends_with('/') => format!("{rest}/{MASK}"),
        // Only a host: there is no path.
        _ => url.to_owned(),
    }
}

fn hide_token(url: &mut Value) {
    if let Some(text) = url.as_str() {
        *url = masked_meeting_url(text).into();
    }
}

/// The value of the query parameter `token`, and the room code.
pub(crate) fn masked_meeting_url(url: &str) -> String {
    let url = masked_code(url);
    masked_token(&url)
}

/// The code lets everybody into the room, for ever.
fn masked_code(url: &str) -> String {
    let Some((site, rest)) = url.split_once("/meeting/") else { return url.to_owned() };
    let code = rest.split(['/', '?', '#']).next().unwrap_or("");
    format!("{site}/meeting/{MASK}{}", &rest[code.len()..])
}

fn masked_token(url: &str) -> String {
    let (address, fragment) = match url.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let Some((page, query)) = address.split_once('?') else {
        return url.to_owned();
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some(("token", _)) => format!("token={MASK}"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(hide).collect();
    format!("{page}?{}{fragment}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stream_keys_go_with_their_query() {
        for (url, expected) in [
            ("rtmp://host/app/KEY?x=y", "rtmp://host/app/**********"),
            ("rtmp://host:1935/app/a/KEY", "rtmp://host:1935/app/a/**********"),
            ("rtmp://host/KEY?", "rtmp://host/**********"),
            ("rtmp://host", "rtmp://host"),
        ] {
            assert_eq!(masked_rtmp_url(url), expected);
        }
    }

    #[test]
    fn only_the_token_of_a_meeting_url_goes() {
        for (url, expected) in [
            ("https://a/b", "https://a/b"),
            ("https://a/b?c=d", "https://a/b?c=d"),
            ("https://a/b?token=KEY", "https://a/b?token=**********"),
            ("https://a/b?c=d&token=KEY#e", "https://a/b?c=d&token=**********#e"),
            ("https://a/meeting/CODE?c=d", "https://a/meeting/**********?c=d"),
        ] {
            assert_eq!(masked_meeting_url(url), expected);
        }
    }

    #[test]
    fn credentials_are_hidden_at_any_depth_and_keep_their_shape() {
        let hidden = masked(&json!({"a": [{"credentials": {"key": "K", "more": ["L", 1]}}], "b": 1}));
        let expected = json!({"a": [{"credentials": {"key": MASK, "more": [MASK, MASK]}}], "b": 1});
        assert_eq!(hidden, expected);
    }
}
