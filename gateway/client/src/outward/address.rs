//! Which addresses may be connected to.
//!
//! A URL in a configuration, or the name in it, must not become a way to this machine or to the network around it. Sources: the IANA
//! special-purpose address registries (RFC 6890 and what it lists).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far connections may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Wherever the operating system can.
    Anywhere,
    /// Only where an address is one of the Internet's.
    Internet,
}

impl Reach {
    /// Refuses an address that is out of reach, saying what would allow it.
    pub(crate) fn check(self, address: IpAddr) -> Result<(), String> {
        if self == Self::Anywhere || is_public(address) {
            return Ok(());
        }
        Err(format!(
            "connect to {address}: it is an address of this machine or of a private network; allow-private = true allows those"
        ))
    }

    /// Those that are in reach; an error when none is.
    pub(crate) fn only(self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        let mut refused = None;
        let within = |address: &SocketAddr| match self.check(address.ip()) {
            Ok(()) => true,
            Err(why) => {
                refused = Some(why);
                false
            }
        };
        let allowed: Vec<_> = found.into_iter().filter(within).collect();
        match refused {
            Some(why) if allowed.is_empty() => Err(why),
            _ => Ok(allowed),
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, shared address space, IETF protocol assignments, 6to4 relays, benchmarking, reserved.
    let special = matches!(
        (a, b, c),
        (0 | 240..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _)
    );
    !(special
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address in IPv6 clothes is that address: mapped, translated (RFC 6052), 6to4.
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let words = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] = words {
        return is_public_v4(v4(high, low));
    }
    // Only 2000::/3 is given out. Within it: IETF assignments with Teredo (2001::/23), documentation (two ranges).
    let given_out = words[0] & 0xe000 == 0x2000;
    let special = (words[0] == 0x2001 && (words[1] < 0x200 || words[1] == 0xdb8))
        || (words[0] == 0x3fff && words[1] < 0x1000);
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::{Reach, is_public};
    use std::net::SocketAddr;

    #[test]
    fn what_is_not_out_in_the_internet_is_refused() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:c0a8:101::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = private.parse().unwrap();
            assert!(!is_public(address), "{private}");
            assert!(Reach::Internet.check(address).unwrap_err().contains("allow-private = true"));
            Reach::Anywhere.check(address).unwrap();
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.255.255",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn of_a_names_addresses_those_in_reach_are_left() {
        let addresses =
            |list: &[&str]| list.iter().map(|text| text.parse::<SocketAddr>().unwrap()).collect::<Vec<_>>();
        let mixed = addresses(&["127.0.0.1:80", "8.8.8.8:80", "[fd00::1]:80"]);
        assert_eq!(Reach::Internet.only(mixed.clone()), Ok(addresses(&["8.8.8.8:80"])));
        assert_eq!(Reach::Anywhere.only(mixed.clone()), Ok(mixed));
        assert!(Reach::Internet.only(addresses(&["127.0.0.1:80"])).unwrap_err().contains("127.0.0.1"));
        assert_eq!(Reach::Internet.only(Vec::new()), Ok(Vec::new()));
    }
}
