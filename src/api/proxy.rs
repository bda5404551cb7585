//! Which proxy the environment names for requests to 100ms, so that what goes wrong there is blamed on it.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// The variables, by precedence, and each in both spellings. Requests are made over TLS, so `HTTP_PROXY` has no say.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];
const EXEMPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The environment variable that names a proxy, and its address without user and password.
pub(super) type Proxy = (&'static str, String);

/// The proxy for requests to `url`; `variable` gives the value of an environment variable.
///
/// # Errors
/// When a variable holds something else than the address of a proxy: passed over, it would send the requests past a
/// proxy that somebody set up on purpose.
pub(super) fn of(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    // A web server's own variable: then `HTTP_PROXY` may come from a request, and no proxy is used.
    if variable("REQUEST_METHOD").is_some() {
        return Ok(None);
    }
    let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, variable(name)?)));
    let exempt = first(EXEMPT).map(|(_, exempt)| exempt).unwrap_or_default();
    let through = |address: &str| {
        let matcher = Matcher::builder().https(address.to_owned()).no(exempt.clone()).build();
        url.as_str().parse().ok().and_then(|url| matcher.intercept(&url))
    };
    if through("http://proxy").is_none() {
        return Ok(None);
    }
    let named = VARIABLES.into_iter().filter_map(first).find(|(_, value)| !value.is_empty());
    let Some((variable, value)) = named else { return Ok(None) };
    // The value may hold a password.
    let refuse = |what: &str| {
        format!(
            "The environment variable `{variable}` {what}: write it as `http://host:port`, or unset it to reach 100ms without a proxy."
        )
    };
    let found = through(&value).ok_or_else(|| refuse("does not hold the address of a proxy"))?;
    let address = Url::parse(&found.uri().to_string()).ok().filter(Url::has_host);
    match address {
        Some(address) if matches!(address.scheme(), "http" | "https") => {
            Ok(Some((variable, address.as_str().trim_end_matches('/').to_owned())))
        }
        Some(_) => Err(refuse("names a proxy that does not speak HTTP")),
        None => Err(refuse("does not hold the address of a proxy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Option<(&'static str, String)>, String> {
        let url = "https://api.100ms.live/v2".parse().unwrap();
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        of(&url, value)
    }

    #[test]
    fn a_proxy_is_known_by_its_variable_and_without_its_password() {
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&[("HTTP_PROXY", "http://a:1")]), Ok(None));
        for (variables, expected) in [
            (&[("HTTPS_PROXY", "http://ada:s3cr3t@proxy:3128/")][..], ("HTTPS_PROXY", "http://proxy:3128")),
            (&[("https_proxy", "proxy:3128")], ("https_proxy", "http://proxy:3128")),
            (&[("ALL_PROXY", "https://b"), ("https_proxy", "http://a:1")], ("https_proxy", "http://a:1")),
            (&[("all_proxy", "https://b"), ("HTTPS_PROXY", "")], ("all_proxy", "https://b")),
        ] {
            assert_eq!(named(variables), Ok(Some((expected.0, expected.1.to_owned()))));
        }
        let exempt = [("HTTPS_PROXY", "nonsense of a proxy"), ("NO_PROXY", "example.com,100ms.live")];
        assert_eq!(named(&exempt), Ok(None));
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused_without_being_repeated() {
        for value in [
            " ",
            "http://",
            "http://ada:s3cr3t@",
            "socks5://s3cr3t:1080",
            "ftp://s3cr3t",
            "http://s3cr3t:99999",
            "s3c r3t",
        ] {
            let refusal = named(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(refusal.contains("`HTTPS_PROXY`") && !refusal.contains("s3c"), "{value}: {refusal}");
        }
    }
}
