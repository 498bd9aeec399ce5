//! Who issues tokens, by its URL: `https://login.example/realms/ml`.
//!
//! Without its scheme it is the provider's name: in its ARN, and in front of condition keys (`login.example/realms/ml:sub`).

/// Characters of a URL, as IAM's model has it.
const URL_MAX: usize = 255;
/// What stands behind an issuer's URL where its configuration is. Source: `OpenID` Connect Discovery 1.0, 4.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The URL of who issues tokens. Two are one if they are the same to the letter, as an `iss` is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    url: Box<str>,
    /// Where the scheme ends.
    name_at: usize,
}

impl Issuer {
    /// Reads it; says in a lowercase fragment what is wrong with it. `http` is for who fetches to allow.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.len() > URL_MAX {
            return Err(format!("it has more than {URL_MAX} characters"));
        }
        let schemes = ["https://", "http://"];
        let scheme = schemes.into_iter().find(|scheme| url.starts_with(scheme));
        let scheme = scheme.ok_or("it does not begin with https://")?;
        let rest = url.get(scheme.len()..).unwrap_or_default();
        if !is_name(rest) {
            return Err(
                "a host, then letters, digits and -._:/ are wanted: no user, query or fragment".into()
            );
        }
        Ok(Self { url: url.into(), name_at: scheme.len() })
    }

    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Without its scheme.
    pub fn name(&self) -> &str {
        self.url.get(self.name_at..).unwrap_or_default()
    }

    /// Where its configuration is.
    pub(super) fn discovery(&self) -> String {
        format!("{}{DISCOVERY}", self.url.strip_suffix('/').unwrap_or(&self.url))
    }
}

/// Whether it is what a URL may have behind its scheme: what condition keys may have, too.
pub(in crate::identity) fn is_name(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    !name.is_empty()
        && name.bytes().all(of_host)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && path.bytes().all(of_path)
        && !path.split('/').any(|part| part == "." || part == "..")
}

#[cfg(test)]
mod tests {
    use super::Issuer;

    #[test]
    fn a_url_is_read_strictly_and_its_configuration_lies_behind_it() {
        for (url, name, discovery) in [
            ("https://a.test", "a.test", "https://a.test/.well-known/openid-configuration"),
            ("https://a.test/", "a.test/", "https://a.test/.well-known/openid-configuration"),
            (
                "http://127.0.0.1:8080/realms/ml",
                "127.0.0.1:8080/realms/ml",
                "http://127.0.0.1:8080/realms/ml/.well-known/openid-configuration",
            ),
        ] {
            let issuer = Issuer::parse(url).unwrap();
            assert_eq!((issuer.url(), issuer.name(), &*issuer.discovery()), (url, name, discovery));
        }
        for bad in [
            "",
            "a.test",
            "https://",
            "HTTPS://a.test",
            "ftp://a.test",
            "https:///x",
            "https://u@a.test",
            "https://u:p@a.test",
            "https://a.test?x=1",
            "https://a.test/#x",
            "https://a.test/a b",
            "https://a.test:0",
            "https://a.test:x",
            "https://a.test:99999",
            "https://a.test/../b",
            "https://a.test/*",
            "https://a.test/%2e",
            "https://a.test/~x",
            "https://ä.test",
            "https://[::1]/",
            &format!("https://a.test/{}", "x".repeat(250)),
        ] {
            Issuer::parse(bad).unwrap_err();
        }
    }
}
