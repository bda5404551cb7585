//! Which hosts may be reached, and which way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;

/// The networks of IPv4 that are not globally reachable: their first address and the length of its prefix.
///
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by customers of a provider
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local: cloud metadata, among others
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4, abandoned
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// The one network of IPv6 that holds globally reachable addresses,
const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// and the networks in it that do not.
///
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, benchmarks
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// The host has no public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NotPublic;

/// Refuses a host that is, by its name or number, one of our own.
pub(super) fn refuse_private_host(url: &Url) -> Result<(), String> {
    if is_loopback(url) || literal(url).is_some_and(|address| !is_public(address)) {
        return Err(format!(
            "The setting `api_url` leads to `{}`, a loopback or private address, which is not allowed here: use a public address.",
            url.host_str().unwrap_or_default()
        ));
    }
    Ok(())
}

/// Whether the host is this machine, whatever a resolver would say.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || literal(url).is_some_and(|address| address.to_canonical().is_loopback())
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Domain(_) => None,
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
    }
}

/// Whether an address is globally reachable. One that wraps another of IPv4 is as public as that.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|network| is_in_v4(v4, *network)),
        IpAddr::V6(v6) => {
            let part = |at: usize| {
                Ipv4Addr::from_bits((u32::from(v6.segments()[at]) << 16) | u32::from(v6.segments()[at + 1]))
            };
            let are_public = |wrapped: &[Ipv4Addr]| wrapped.iter().all(|v4| is_public((*v4).into()));
            match v6.segments() {
                // NAT64
                [0x64, 0xff9b, 0, 0, 0, 0, ..] => are_public(&[part(6)]),
                // 6to4
                [0x2002, ..] => are_public(&[part(1)]),
                // Teredo: the server, and the client with its bits turned round
                [0x2001, 0, ..] => are_public(&[part(2), Ipv4Addr::from_bits(!part(6).to_bits())]),
                _ => is_in_v6(v6, PUBLIC_V6) && !NOT_PUBLIC_V6.iter().any(|network| is_in_v6(v6, *network)),
            }
        }
    }
}

fn is_in_v4(address: Ipv4Addr, (network, length): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

fn is_in_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

/// The public addresses of a host.
async fn public_addresses(host: &str) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() { Err(NotPublic.into()) } else { Ok(public) }
}

/// Whether a host has no public address. A host that nobody knows is left to whoever connects.
pub(super) async fn is_private(host: &str) -> bool {
    public_addresses(host).await.is_err_and(|error| error.is::<NotPublic>())
}

/// Whether requests may go through a proxy, which resolves names itself.
pub(super) fn may_be_proxied() -> bool {
    let names = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A resolver that knows only the public addresses of `host`, so that a public name cannot lead inside.
/// Other names are those of proxies, which whoever runs this machine has chosen.
pub(super) struct PublicOnly {
    pub(super) host: Arc<str>,
}

impl reqwest::dns::Resolve for PublicOnly {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = Arc::clone(&self.host);
        Box::pin(async move {
            let addresses = if name.as_str() == &*host {
                public_addresses(&host).await?
            } else {
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect()
            };
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Problem;
    use super::super::transport;
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
        assert!(is_private("localhost").await);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let http =
            reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(PublicOnly { host: "localhost".into() }));
        let http = http.tls_backend_preconfigured(super::super::tls::config().unwrap()).build().unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let error = http.get(url).send().await.unwrap_err();
        assert_eq!(transport::problem(&error), Problem::NotPublic);
        assert!(listener.accept().is_err(), "nobody knocked");
    }
}
