//! Keys of users and sessions, and requests of IAM and STS signed with them.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{ACCESS_KEY, Answer, Client, SECRET_KEY, World};
use engine::clock::Clock as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use security::credentials::SecretKey;
use security::sign::{PayloadHash, Signer};

/// What signs.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Key {
    /// The root of the appliance's account.
    pub(crate) fn root() -> Self {
        Self { id: ACCESS_KEY.to_owned(), secret: SECRET_KEY.to_owned(), token: None }
    }

    /// Of the answer that shows it.
    pub(crate) fn of(answer: &Answer) -> Self {
        let text = |name| element(answer.text(), name).unwrap().to_owned();
        let token = element(answer.text(), "SessionToken").map(str::to_owned);
        Self { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token }
    }

    pub(crate) fn signer(&self, service: &str, region: &str) -> Signer {
        Signer {
            access_key_id: self.id.parse().unwrap(),
            secret: SecretKey::parse(&self.secret).unwrap(),
            session_token: self.token.clone(),
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }
}

/// The text of the first element of a name. Nothing here nests in itself.
pub(crate) fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// A form of these parameters.
pub(crate) fn form(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let named = |name: &str| encode(name).replace("%2E", ".");
    parameters
        .iter()
        .map(|(name, value)| format!("{}={}", named(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// How a request is put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    /// One more.
    pub(crate) header: Option<(&'a str, &'a str)>,
    /// What is signed of the body, if not its own digest.
    pub(crate) payload: Option<PayloadHash>,
}

impl Default for Post<'_> {
    fn default() -> Self {
        Self {
            service: "iam",
            region: "us-east-1",
            method: "POST",
            path: "/",
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            header: None,
            payload: None,
        }
    }
}

/// The bytes of a signed request.
pub(crate) fn signed(world: &World, key: &Key, post: Post<'_>, body: &[u8]) -> Vec<u8> {
    let request =
        http::Request::builder().method(post.method).uri(post.path).header("host", world.http.to_string());
    let request = if post.content_type.is_empty() {
        request
    } else {
        request.header("content-type", post.content_type)
    };
    let request = post.header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let mut hash = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    hash.copy_from_slice(digest.as_ref());
    let payload = post.payload.unwrap_or(PayloadHash::Sha256(hash));
    key.signer(post.service, post.region).sign(&mut parts, payload, world.clock.now()).unwrap();
    let mut bytes = format!("{} {} HTTP/1.1\r\n", post.method, post.path).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if post.method != "GET" || !body.is_empty() {
        bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A URL of a service, signed for a minute.
pub(crate) fn presigned(world: &World, key: &Key, service: &str, query: &str) -> String {
    let origin = format!("http://{}", world.http);
    let uri = format!("{origin}/?{query}").parse().unwrap();
    let minute = std::time::Duration::from_mins(1);
    let signer = key.signer(service, "us-east-1");
    let url = signer.presign("GET", &uri, &http::HeaderMap::new(), minute, world.clock.now()).unwrap();
    url.strip_prefix(&origin).unwrap().to_owned()
}

/// A URL of an object, likewise.
pub(crate) fn presigned_s3(world: &World, key: &Key, path: &str) -> String {
    let origin = format!("http://{}", world.http);
    let uri = format!("{origin}{path}").parse().unwrap();
    let minute = std::time::Duration::from_mins(1);
    let signer = key.signer("s3", "us-east-1");
    let url = signer.presign("GET", &uri, &http::HeaderMap::new(), minute, world.clock.now()).unwrap();
    url.strip_prefix(&origin).unwrap().to_owned()
}

/// Asks for an operation.
pub(crate) async fn ask(
    world: &World,
    client: &mut Client,
    key: &Key,
    (service, operation): (&str, &str),
    parameters: &[(&str, &str)],
) -> Answer {
    let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
    let all = [&[("Action", operation), ("Version", version)], parameters].concat();
    client.send(&signed(world, key, Post { service, ..Post::default() }, form(&all).as_bytes())).await;
    client.answer().await.unwrap()
}

/// Asks for an operation of IAM that has to be done.
pub(crate) async fn iam(
    world: &World,
    client: &mut Client,
    key: &Key,
    operation: &str,
    parameters: &[(&str, &str)],
) -> Answer {
    let answer = ask(world, client, key, ("iam", operation), parameters).await;
    assert_eq!(answer.status, 200, "{operation} {parameters:?}: {}", answer.text());
    answer
}

/// Asks for an operation of STS that has to be done.
pub(crate) async fn sts(
    world: &World,
    client: &mut Client,
    key: &Key,
    operation: &str,
    parameters: &[(&str, &str)],
) -> Answer {
    let answer = ask(world, client, key, ("sts", operation), parameters).await;
    assert_eq!(answer.status, 200, "{operation} {parameters:?}: {}", answer.text());
    answer
}

/// A user with a key.
pub(crate) async fn user(world: &World, client: &mut Client, name: &str) -> Key {
    iam(world, client, &Key::root(), "CreateUser", &[("UserName", name)]).await;
    Key::of(&iam(world, client, &Key::root(), "CreateAccessKey", &[("UserName", name)]).await)
}

/// A policy of these statements.
pub(crate) fn document(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// A statement about everything.
pub(crate) fn says(effect: &str, actions: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":{actions},"Resource":"*"}}"#)
}

/// Gives a user an inline policy in place of the one that it may have.
pub(crate) async fn give(world: &World, client: &mut Client, user: &str, statements: &str) {
    let parameters = [("UserName", user), ("PolicyName", "given"), ("PolicyDocument", &document(statements))];
    iam(world, client, &Key::root(), "PutUserPolicy", &parameters).await;
}
