//! One record of a server access log: a line of S3's format, whatever clients send.
//!
//! Source: "Amazon S3 server access log format" of the S3 user guide. The fields, in order: bucket owner, bucket, time, remote IP,
//! requester, request id, operation, key, request URI, status, error code, bytes sent, object size, total time, turn-around time,
//! referer, user agent, version id, host id, signature version, cipher suite, authentication type, host header, TLS version,
//! access point, ACL required, source region. What is not known, or does not apply, is `-`.
//!
//! # Invariants
//! - A line has these 27 fields, one line feed at its end, and no other byte below space, above `~`, or `"` inside of quotes: such
//!   bytes of a client's are percent-encoded, so that no header can end a field or a line.
//! - Of a query the values that open something are left out: signatures and session tokens.

use crate::civil::civil;
use engine::clock::Timestamp;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Parameters of a presigned URL whose values are not written.
const SECRETS: [&str; 3] = ["x-amz-signature", "x-amz-security-token", "signature"];

/// What a record says of a request. `None` and 0 are `-`.
#[derive(Clone, Debug, Default)]
pub struct LogRecord<'a> {
    /// When the request came.
    pub at: Timestamp,
    /// From where.
    pub remote: Option<IpAddr>,
    /// The canonical id of who asked; `None` for anonymous requests.
    pub requester: Option<&'a str>,
    /// `x-amz-request-id`.
    pub request_id: &'a str,
    /// `REST.GET.OBJECT`.
    pub operation: &'a str,
    /// The key, as it is; it is written percent-encoded.
    pub key: Option<&'a str>,
    /// Method, request target and version, as they came; `None` where there was no request of its own.
    pub request: Option<&'a str>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The code of its error; empty for none.
    pub code: &'a str,
    /// Bytes of its body that were sent.
    pub sent: u64,
    /// The whole object's size.
    pub size: Option<u64>,
    /// From the request's head to the answer's end.
    pub total: Option<Duration>,
    /// From the request's last byte to the answer's head.
    pub turn_around: Option<Duration>,
    /// `Referer` of the request.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent` of the request.
    pub user_agent: Option<&'a [u8]>,
    /// The version's name.
    pub version: Option<&'a str>,
    /// `x-amz-id-2`.
    pub host_id: &'a str,
    /// `SigV4`.
    pub signature: Option<&'a str>,
    /// The suite of the connection's TLS.
    pub cipher: Option<&'a str>,
    /// `AuthHeader` or `QueryString`.
    pub authentication: Option<&'a str>,
    /// `Host`.
    pub host: Option<&'a [u8]>,
    /// `TLSv1.3`.
    pub tls: Option<&'a str>,
    /// It was allowed by an access list.
    pub acl_required: bool,
    /// It is the delivery of a log.
    pub of_delivery: bool,
}

/// The record as a line of the log of this bucket.
pub(super) fn render(record: &LogRecord<'_>, owner: &str, bucket: &str) -> String {
    let mut out = Line(String::with_capacity(512));
    out.word(owner).word(bucket).time(record.at);
    out.text(record.remote.map(|ip| ip.to_string()).as_deref());
    out.text(record.requester).word(record.request_id).word(record.operation);
    let request = record.request.map(|line| without_secrets(line.as_bytes()));
    let asked = request.is_some();
    out.key(record.key).quoted(asked, request.as_deref());
    out.number(record.status.map(u64::from)).word(record.code);
    out.number((record.sent > 0).then_some(record.sent)).number(record.size);
    out.millis(record.total).millis(record.turn_around);
    // A page that was opened by a presigned link names that link as the referer of all it loads.
    let [referer, user_agent] = [record.referer, record.user_agent].map(|field| field.map(without_secrets));
    out.quoted(asked, referer.as_deref()).quoted(asked, user_agent.as_deref());
    out.text(record.version).word(record.host_id).text(record.signature).text(record.cipher);
    out.text(record.authentication).raw(record.host).text(record.tls);
    // There are no access points, and where a request comes from is known by its address alone.
    out.text(None).text(record.acl_required.then_some("Yes")).text(None);
    let mut line = out.0;
    line.pop();
    line.push('\n');
    line
}

/// Fields, each with a space behind it.
struct Line(String);

impl Line {
    fn escaped(&mut self, bytes: &[u8], stays: fn(u8) -> bool) -> &mut Self {
        for byte in bytes {
            if stays(*byte) {
                self.0.push(char::from(*byte));
            } else {
                // Writing to a string cannot fail.
                let _infallible = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// A field without white space in it; an empty one is `-`.
    fn raw(&mut self, field: Option<&[u8]>) -> &mut Self {
        match field {
            Some(field) if !field.is_empty() => {
                self.escaped(field, |byte| byte.is_ascii_graphic() && byte != b'"');
            }
            _ => self.0.push('-'),
        }
        self.0.push(' ');
        self
    }

    fn text(&mut self, field: Option<&str>) -> &mut Self {
        self.raw(field.map(str::as_bytes))
    }

    fn word(&mut self, field: &str) -> &mut Self {
        self.raw(Some(field.as_bytes()))
    }

    /// A key as listings encode it.
    fn key(&mut self, key: Option<&str>) -> &mut Self {
        let Some(key) = key else { return self.text(None) };
        self.escaped(key.as_bytes(), |byte| byte.is_ascii_alphanumeric() || b"-_.~*/".contains(&byte));
        self.0.push(' ');
        self
    }

    /// Anything that is text, in quotes; `"-"` where there is none, and a bare `-` where nothing was asked that could have it.
    fn quoted(&mut self, asked: bool, field: Option<&[u8]>) -> &mut Self {
        if !asked {
            return self.text(None);
        }
        self.0.push('"');
        match field {
            Some(field) if !field.is_empty() => {
                self.escaped(field, |byte| (byte == b' ' || byte.is_ascii_graphic()) && byte != b'"');
            }
            _ => self.0.push('-'),
        }
        self.0.push_str("\" ");
        self
    }

    fn number(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => {
                let _infallible = write!(self.0, "{number} ");
            }
            None => self.0.push_str("- "),
        }
        self
    }

    fn millis(&mut self, time: Option<Duration>) -> &mut Self {
        self.number(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// `[06/Feb/2019:00:00:38 +0000]`.
    fn time(&mut self, at: Timestamp) -> &mut Self {
        let at = civil(at);
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = usize::try_from(at.month()).ok().and_then(|number| month.get(number - 1)).unwrap_or(&"-");
        let (day, year) = (at.day(), at.year());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let _infallible =
            write!(self.0, "[{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000] ");
        self
    }
}

/// A line that may hold a URL, with what would open something left out of its query.
fn without_secrets(line: &[u8]) -> Vec<u8> {
    let Some(at) = line.iter().position(|byte| *byte == b'?') else { return line.to_vec() };
    let (before, query) = line.split_at(at + 1);
    let end = query.iter().position(|byte| *byte == b' ').unwrap_or(query.len());
    let (query, behind) = query.split_at(end);
    let parameter = |text: &[u8]| {
        let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
        // As whoever verifies reads it: any byte may stand there encoded.
        let plain: Vec<u8> = percent_encoding::percent_decode(name).collect();
        if SECRETS.iter().any(|secret| plain.eq_ignore_ascii_case(secret.as_bytes())) {
            [name, b"=REDACTED"].concat()
        } else {
            text.to_vec()
        }
    };
    let query: Vec<Vec<u8>> = query.split(|byte| *byte == b'&').map(parameter).collect();
    [before, &query.join(&b'&'), behind].concat()
}

#[cfg(test)]
mod tests {
    use super::{LogRecord, render};
    use engine::clock::Timestamp;
    use std::time::Duration;

    const FULL: &str = "0f1e my-bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57427F3EXAMPLE REST.GET.OBJECT \
                        a%20b/%C3%A9%22.txt \"GET /my-bucket/a%20b HTTP/1.1\" 206 - 1024 4096 70 10 \"http://r.test/\" \
                        \"curl/8 (x; y)\" 3HL4kqtJvjVBH40Nrjfkd s9lz= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader \
                        my-bucket.s3.test TLSv1.3 - Yes -\n";

    fn full() -> LogRecord<'static> {
        LogRecord {
            at: Timestamp::from_millis(1_549_411_238_999),
            remote: Some("192.0.2.3".parse().unwrap()),
            requester: Some("79a5"),
            request_id: "3E57427F3EXAMPLE",
            operation: "REST.GET.OBJECT",
            key: Some("a b/é\".txt"),
            request: Some("GET /my-bucket/a%20b HTTP/1.1"),
            status: Some(206),
            code: "",
            sent: 1024,
            size: Some(4096),
            total: Some(Duration::from_micros(70_999)),
            turn_around: Some(Duration::from_millis(10)),
            referer: Some(b"http://r.test/"),
            user_agent: Some(b"curl/8 (x; y)"),
            version: Some("3HL4kqtJvjVBH40Nrjfkd"),
            host_id: "s9lz=",
            signature: Some("SigV4"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            authentication: Some("AuthHeader"),
            host: Some(b"my-bucket.s3.test"),
            tls: Some("TLSv1.3"),
            acl_required: true,
            of_delivery: false,
        }
    }

    #[test]
    fn a_record_is_a_line_of_s3s_format() {
        assert_eq!(render(&full(), "0f1e", "my-bucket"), FULL);
        let least = LogRecord { request_id: "R", operation: "REST.PUT.OBJECT", ..LogRecord::default() };
        assert_eq!(
            render(&least, "0f1e", "bkt"),
            "0f1e bkt [01/Jan/1970:00:00:00 +0000] - - R REST.PUT.OBJECT - - - - - - - - - - - - - - - - - - - -\n"
        );
        let bare = LogRecord { request: Some("GET / HTTP/1.1"), user_agent: Some(b""), ..least };
        let line = render(&bare, "0f1e", "bkt");
        assert!(line.contains(" \"GET / HTTP/1.1\" - - - - - - \"-\" \"-\" - "), "{line}");
    }

    /// Fields as the user guide's own expression takes them apart: bare, in brackets, in quotes.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut rest) = (Vec::new(), line.strip_suffix('\n').unwrap());
        while !rest.is_empty() {
            let end = match rest.as_bytes()[0] {
                b'"' => rest[1..].find('"').unwrap() + 2,
                b'[' => rest.find(']').unwrap() + 1,
                _ => rest.find(' ').unwrap_or(rest.len()),
            };
            fields.push(rest[..end].to_owned());
            rest = rest[end..].strip_prefix(' ').unwrap_or(&rest[end..]);
        }
        fields
    }

    #[test]
    fn no_byte_that_a_client_sends_ends_a_field_or_a_line() {
        let hostile: Vec<u8> = (0..=255).collect();
        let text: String = (0..=0x250).filter_map(char::from_u32).collect();
        for part in [&hostile[..], b"\" 200 - ", b"\n", b"- -\r\n0f1e forged", b"\\\"", b""] {
            let words = String::from_utf8_lossy(part);
            let record = LogRecord {
                requester: Some(&words),
                key: Some(&words),
                request: Some(&words),
                referer: Some(part),
                user_agent: Some(part),
                version: Some(&words),
                host: Some(part),
                code: &words,
                ..full()
            };
            let line = render(&record, "0f1e", "bkt");
            assert!(line.bytes().filter(|byte| !(b' '..=b'~').contains(byte)).eq([b'\n']), "{line}");
            assert_eq!(fields(&line).len(), 27, "{line}");
        }
        let line = render(&LogRecord { key: Some(&text), ..full() }, "0f1e", "bkt");
        assert_eq!(fields(&line).len(), 27, "{line}");
    }

    #[test]
    fn what_opens_something_is_left_out_of_a_query() {
        for (query, written) in [
            ("GET /b/k?X-Amz-Signature=abc&x=1 HTTP/1.1", "GET /b/k?X-Amz-Signature=REDACTED&x=1 HTTP/1.1"),
            (
                "GET /b/k?x&x-amz-security-TOKEN=a&Signature=b HTTP/2",
                "GET /b/k?x&x-amz-security-TOKEN=REDACTED&Signature=REDACTED HTTP/2",
            ),
            ("GET /b/k?X-Amz-Signatur%65=abc HTTP/1.1", "GET /b/k?X-Amz-Signatur%65=REDACTED HTTP/1.1"),
            ("GET /b/k?prefix=a%26b HTTP/1.1", "GET /b/k?prefix=a%26b HTTP/1.1"),
            ("GET /b/k HTTP/1.1", "GET /b/k HTTP/1.1"),
        ] {
            let line = render(&LogRecord { request: Some(query), ..full() }, "0f1e", "bkt");
            assert_eq!(fields(&line)[8], format!("\"{written}\""));
        }
        // A page that was opened by a presigned link, and a client that calls itself so.
        let (link, written) =
            ("http://h/b/k?x=1&X-Amz-Signature=abc", "\"http://h/b/k?x=1&X-Amz-Signature=REDACTED\"");
        let record =
            LogRecord { referer: Some(link.as_bytes()), user_agent: Some(link.as_bytes()), ..full() };
        let fields = fields(&render(&record, "0f1e", "bkt"));
        assert_eq!([&fields[15], &fields[16]], [written; 2]);
    }
}
