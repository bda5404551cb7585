//! Which hosts may be reached where only public ones are allowed.

use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::error::Problem;

/// Refuses a host that is, by its name or number, loopback or private.
pub(super) fn refuse_private_host(url: &Url) -> Result<(), String> {
    if is_loopback(url) || literal(url).is_some_and(|address| !is_public(address)) {
        return Err(format!(
            "The setting `api_url` leads to `{}`, a loopback or private address, which is not allowed here: use a public address.",
            url.host_str().unwrap_or_default()
        ));
    }
    Ok(())
}

/// Whether the host is this machine, whatever a resolver would answer.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || literal(url).is_some_and(|address| address.to_canonical().is_loopback())
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether an address is globally reachable. One that wraps another of IPv4 is as public as that.
///
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
fn is_public(address: IpAddr) -> bool {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation() => false,
        // This network, customers of one provider, protocols, relays of 6to4, benchmarks, multicast and reserved.
        IpAddr::V4(v4) => !matches!(
            v4.octets(),
            [0, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [224..=255, ..]
        ),
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public(v4(high, low).into()), // NAT64
            [0x2002, high, low, ..] => is_public(v4(high, low).into()),               // 6to4
            // Teredo: the server, and the client with its bits inverted
            [0x2001, 0, high, low, _, _, client_high, client_low] => {
                is_public(v4(high, low).into()) && is_public(v4(!client_high, !client_low).into())
            }
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false, // protocols, documentation
            [first, ..] => (0x2000..=0x3fff).contains(&first),                  // all that is given out so far
        },
    }
}

/// A resolver that knows only the public addresses of this host, so that a public name cannot lead inside. Other names
/// are those of proxies, which whoever runs this machine has chosen.
pub(super) struct PublicOnly(pub(super) String);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let is_judged = name.as_str() == self.0;
        Box::pin(async move {
            let mut addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            addresses.retain(|address| !is_judged || is_public(address.ip()));
            if addresses.is_empty() {
                return Err(Problem::NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::problem;
    use super::*;

    #[test]
    fn addresses_that_are_not_globally_reachable_are_known() {
        let private = "0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 \
            172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 \
            198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            :: ::1 ::7f00:1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 fc00::1 fd00::1 fe80::1 fec0::1 \
            feff::1 ff02::1 100::1 5f00::1 2001:db8::1 3fff::1 2001:2::1 2001:10::1 2001:20::1 64:ff9b:1::1";
        // 10.0.0.1 and 169.254.169.254 in NAT64, in 6to4, and in Teredo as server and as client.
        let wrapped = "64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 2002:a00:1:: 2002:a9fe:a9fe::1 \
            2001:0:a00:1::f7f7:f7f7 2001:0:808:808::f5ff:fffe";
        for address in private.split_whitespace().chain(wrapped.split_whitespace()) {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 \
            198.17.0.1 198.20.0.1 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:4860:4860::8888 \
            2606:4700::1111 2002:808:808::1 2001:0:808:808::f7f7:f7f7 2001:200::1";
        for address in public.split_whitespace() {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn hosts_of_our_own_are_known_by_name_and_in_every_spelling() {
        let refused = |host: &str| refuse_private_host(&format!("https://{host}/").parse().unwrap()).is_err();
        let own = "localhost LOCALHOST localhost. a.localhost 127.1 0x7f000001 2130706433 017700000001 10.0.0.1 \
            [::1] [::ffff:127.0.0.1] [::ffff:a00:1]";
        for host in own.split_whitespace() {
            assert!(refused(host), "{host}");
        }
        assert!(
            !["api.100ms.live", "8.8.8.8", "[2606:4700::1111]", "localhost.example"].iter().any(|host| refused(host))
        );
        let is_loopback = |host: &str| is_loopback(&format!("http://{host}:80/").parse().unwrap());
        assert!(["localhost", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"].iter().all(|host| is_loopback(host)));
        assert!(!["10.0.0.1", "api.100ms.live", "[::2]"].iter().any(|host| is_loopback(host)));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let http =
            reqwest::Client::builder().no_proxy().dns_resolver(std::sync::Arc::new(PublicOnly("localhost".into())));
        let http = http.tls_backend_preconfigured(super::super::tls::config().unwrap()).build().unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let error = http.get(url).send().await.unwrap_err();
        assert_eq!(problem(&error), Problem::NotPublic);
        assert!(listener.accept().is_err(), "nobody knocked");
    }
}
