//! What an appliance is called: the names that its own certificate has.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

/// A host name (`*.` in front stands for one label) or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Host(String),
    Address(IpAddr),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let text = text.to_ascii_lowercase();
        if is_host(text.strip_prefix("*.").unwrap_or(&text)) {
            Ok(Self::Host(text))
        } else {
            Err(format!(
                "{text:?} is no host name or address, like nas.example.com, *.s3.example.com or 192.0.2.7"
            ))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Labels of 1 to 63 letters, digits and hyphens.
fn is_host(text: &str) -> bool {
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(fine)
}

/// The names of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(BTreeSet<Name>);

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Names {
    /// What clients may call an appliance whose doors listen at `doors`: loopback, the doors' addresses, this host's name,
    /// the domains of its buckets and of their websites, and what the configuration adds.
    pub(crate) fn of_appliance<'d>(
        doors: &[SocketAddr],
        domains: impl IntoIterator<Item = &'d String>,
        more: &[Name],
    ) -> Self {
        let mut names = Self(more.iter().cloned().collect());
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        names.0.extend(loopback.map(Name::Address));
        names.0.insert(Name::Host("localhost".to_owned()));
        for door in doors.iter().map(SocketAddr::ip) {
            if door.is_unspecified() {
                names.0.extend(outbound(door).map(Name::Address));
            } else {
                names.0.insert(Name::Address(door));
            }
        }
        names.0.extend(host_name().map(Name::Host));
        for domain in domains.into_iter().filter(|domain| is_host(domain)) {
            names.0.extend([domain.clone(), format!("*.{domain}")].map(Name::Host));
        }
        names
    }

    /// What others may call a machine that listens at this address: the address that they see, its name.
    pub(super) fn of_machine(door: IpAddr) -> Self {
        let address = if door.is_unspecified() { outbound(door) } else { Some(door) };
        let names = address.map(Name::Address).into_iter().chain(host_name().map(Name::Host));
        names.collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }

    pub(crate) fn has(&self, name: &Name) -> bool {
        self.0.contains(name)
    }

    /// The names that `other` has and these lack.
    pub(super) fn lacks(&self, other: &Self) -> Vec<Name> {
        other.0.difference(&self.0).cloned().collect()
    }

    /// A host name that a URL can have.
    pub(super) fn host(&self) -> Option<&str> {
        self.0.iter().find_map(|name| match name {
            Name::Host(host) if !host.starts_with("*.") => Some(host.as_str()),
            _ => None,
        })
    }
}

/// What this machine calls itself.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_ascii_lowercase();
    is_host(&name).then_some(name)
}

/// The address that others see when this machine talks to them: the kernel's choice for a packet to far away, which is
/// never sent. A machine without a way out has none.
fn outbound(unspecified: IpAddr) -> Option<IpAddr> {
    // Reserved for documentation (RFC 5737, RFC 3849): nobody's, and far away.
    let far: IpAddr = match unspecified {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}
