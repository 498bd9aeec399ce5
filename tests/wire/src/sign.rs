//! AWS Signature Version 4 in headers, for path-style S3 requests: the second implementation, beside the server's.

use aws_lc_rs::{digest, hmac};
use std::fmt::Write as _;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`
    pub method: &'static str,
    /// `/bucket/key`, not encoded.
    pub path: String,
    /// Names and values, not encoded.
    pub query: Vec<(&'static str, String)>,
    /// Further headers, names in lower case; all are signed.
    pub headers: Vec<(&'static str, String)>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The access key id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// The region of the scope.
    pub region: String,
}

impl Signing {
    /// The complete head of a request with a body of `length` bytes whose hash is `payload`.
    pub fn head(&self, host: &str, request: &Request, length: usize, payload: &str, now: i64) -> Vec<u8> {
        let stamp = stamp(now);
        let day = &stamp[..8];
        let path = escape(&request.path, true);
        let mut query: Vec<String> =
            request.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        query.sort_unstable();
        let query = query.join("&");
        let mut headers: Vec<(&str, &str)> =
            vec![("host", host), ("x-amz-content-sha256", payload), ("x-amz-date", &stamp)];
        headers.extend(request.headers.iter().map(|(name, value)| (*name, value.as_str())));
        headers.sort_unstable();
        let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| {
                format!(
                    "{name}:{}
",
                    value.trim()
                )
            })
            .collect();
        let lines = lines.concat();
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{signed}\n{payload}", request.method);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = hex::encode(mac(&self.key(day), to_sign.as_bytes()));

        let question = if query.is_empty() { "" } else { "?" };
        let mut head = format!("{} {path}{question}{query} HTTP/1.1\r\n", request.method);
        for (name, value) in &headers {
            // Writing to a String can't fail.
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
        let _infallible = write!(
            head,
            "authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}\r\n\
             content-length: {length}\r\n\r\n",
            self.access_key
        );
        head.into_bytes()
    }

    fn key(&self, day: &str) -> Vec<u8> {
        let seed = format!("AWS4{}", self.secret).into_bytes();
        [day, &self.region, "s3", "aws4_request"].iter().fold(seed, |key, step| mac(&key, step.as_bytes()))
    }
}

/// The hash of a payload.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// The hash of a payload, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// A value for a query: everything but letters, digits and `-._~` as `%XX`.
pub fn encode(text: &str) -> String {
    escape(text, false)
}

/// The same, but a path keeps its `/`.
fn escape(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `20130524T000000Z`
fn stamp(unix_seconds: i64) -> String {
    let (days, rest) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in 400-year eras (Howard Hinnant's civil_from_days).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::{Request, Signing, encode, escape, sha256_hex, stamp};

    /// The examples of AWS's documentation for Signature Version 4 with S3.
    fn signing() -> Signing {
        Signing {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
        }
    }

    fn signature(request: &Request) -> String {
        let host = "examplebucket.s3.amazonaws.com";
        let head = signing().head(host, request, 0, &sha256_hex(b""), 1_369_353_600);
        let head = String::from_utf8(head).unwrap();
        head.split("Signature=").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    }

    #[test]
    fn signs_as_the_documentation_does() {
        let get = Request {
            method: "GET",
            path: "/test.txt".to_owned(),
            headers: vec![("range", "bytes=0-9".to_owned())],
            ..Request::default()
        };
        assert_eq!(signature(&get), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let list = Request {
            method: "GET",
            path: "/".to_owned(),
            query: vec![("max-keys", "2".to_owned()), ("prefix", "J".to_owned())],
            ..Request::default()
        };
        assert_eq!(signature(&list), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn writes_dates_and_encodes_paths() {
        assert_eq!(stamp(1_369_353_600), "20130524T000000Z");
        assert_eq!(stamp(951_782_399), "20000228T235959Z");
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(escape("/b/a b+ü", true), "/b/a%20b%2B%C3%BC");
        assert_eq!(encode("a/b"), "a%2Fb");
    }
}
