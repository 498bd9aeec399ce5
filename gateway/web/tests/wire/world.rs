//! A whole server on free ports over an in-memory catalog, and a client that speaks bytes.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::torn::Torn;
use crate::web_identity::Idp;
use archive::vault::Vaults;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Snapshot, Version};
use engine::clock::ManualClock;
use engine::clock::compliance::ComplianceClock;
use engine::id::PartitionId;
use engine::outbox::{Courier, Letter, Outbox, Subscriber};
use engine::worker::Progress;
use md5::{Digest as _, Md5};
use objectstore::testing::Foundation;
use objectstore::{Components, ObjectOwnership, ObjectStore};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use security::AccountId;
use security::audit::{self, Audit};
use security::credentials::File;
use security::identity::{self, Identities, Issuers};
use security::keys::KeyTable;
use security::kms::{self, Kms};
use security::sign::{PayloadHash, Signer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use web::{
    AdminCall, AdminError, AdminToken, Config, Identity, Limits, Obstacle, Parts, Places, Readiness, Server,
    State, StatusSource,
};

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The root of another account.
pub(crate) const OTHER_ACCESS_KEY: &str = "AKIAI44QH8DHBEXAMPLE";
pub(crate) const OTHER_SECRET_KEY: &str = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY";
/// The appliance's account.
pub(crate) const ACCOUNT: &str = "111122223333";
/// The other one.
pub(crate) const OTHER_ACCOUNT: &str = "444455556666";

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The root of the appliance's account.
    Root,
    /// The root of the other account.
    Other,
    /// Nobody: the request is not signed.
    Nobody,
}

/// Reports what the test tells it to.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) broken: AtomicBool,
    pub(crate) unreadable: AtomicBool,
    pub(crate) panics: AtomicBool,
}

impl StatusSource for Facts {
    fn ready(&self) -> BoxFuture<'_, Readiness> {
        let mut readiness = Readiness::default();
        if self.broken.load(Ordering::SeqCst) {
            readiness.add(Obstacle::PoolFull, "the disk of /secret/place is full".to_owned());
        }
        if self.unreadable.load(Ordering::SeqCst) {
            readiness.add(Obstacle::CatalogUnreadable, "read /secret/place".to_owned());
        }
        Box::pin(std::future::ready(readiness))
    }

    fn call(&self, call: AdminCall) -> BoxFuture<'_, Result<serde_json::Value, AdminError>> {
        let panics = self.panics.load(Ordering::SeqCst);
        Box::pin(async move {
            assert!(!panics, "on purpose");
            match call {
                AdminCall::Status => Ok(serde_json::json!({ "ready": true })),
                other => Err(AdminError::NotFound(format!("answer {other:?}"))),
            }
        })
    }
}

/// A catalog that makes everybody wait while it is shut, and in whose gaps something may happen.
pub(crate) struct Gate {
    pub(crate) gaps: Arc<engine::testing::Gate>,
    open: watch::Sender<bool>,
    commits: watch::Sender<bool>,
    pub(crate) torn: Torn,
    /// There is no room for a commit.
    pub(crate) full: AtomicBool,
    /// Whoever makes the next commit panics once it is there.
    pub(crate) panics: AtomicBool,
}

impl Gate {
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Reads go on, and writes wait.
    pub(crate) fn set_commits_open(&self, open: bool) {
        self.commits.send_replace(open);
    }

    /// How many commits wait.
    pub(crate) fn waiting(&self) -> usize {
        self.commits.receiver_count()
    }

    async fn pass(&self) {
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

impl Catalog for Gate {
    fn limits(&self) -> engine::catalog::Limits {
        self.gaps.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            self.pass().await;
            Ok(self.torn.over(self.gaps.snapshot(partition).await?))
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            self.pass().await;
            self.commits.subscribe().wait_for(|open| *open).await.unwrap();
            if self.full.load(Ordering::SeqCst) {
                return Err(engine::Error::Full { place: "/secret/place".to_owned(), wanted: 1 });
            }
            let outcome = self.gaps.commit(commit).await;
            assert!(!self.panics.swap(false, Ordering::SeqCst), "on purpose");
            outcome
        })
    }
}

/// Keeps the events that it is given.
#[derive(Default)]
pub(crate) struct Receiver(std::sync::Mutex<Vec<serde_json::Value>>);

impl Courier for Receiver {
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>> {
        self.0.lock().unwrap().push(serde_json::from_slice(letter.body).unwrap());
        Box::pin(std::future::ready(Ok(())))
    }

    fn address(&self) -> String {
        "the test".to_owned()
    }
}

/// A running server.
pub(crate) struct World {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) audit: Arc<Audit>,
    /// Who takes the events of topic `told`, and what brings them.
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) store: Arc<ObjectStore>,
    /// Who vouches for people.
    pub(crate) idp: Arc<Idp>,
    outbox: Arc<Outbox>,
    /// What clients believe, where the doors speak TLS.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// What the doors prove themselves with.
    pub(crate) identity: Option<Arc<Identity>>,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
    pub(crate) foundation: Foundation,
    state: Arc<State>,
    /// What vaults would stand on, but for their directories.
    below: archive::vault::Components,
}

/// What vaults stand on. Where packs are made, who opens them says.
fn below_vaults(
    foundation: &Foundation,
    components: &Components,
    catalog: Arc<Gate>,
) -> archive::vault::Components {
    archive::vault::Components {
        catalog,
        blobs: components.blobs.clone(),
        keys: components.keys.clone(),
        clock: foundation.clock.clone(),
        compliance: components.compliance.clone(),
        day: components.day,
        entropy: foundation.entropy.clone(),
        region: "us-east-1".to_owned(),
        making: std::path::PathBuf::new(),
        media: Vec::new(),
        packing: archive::vault::Packing::default(),
        prices: archive::retrieval::Prices::default(),
        free_per_day: archive::retrieval::FREE_PER_DAY,
        topics: None,
    }
}

/// Two roots, and whoever their accounts make.
async fn identities(
    foundation: &Foundation,
    catalog: Arc<Gate>,
    keys: Arc<KeyTable>,
    account: AccountId,
) -> Arc<Identities> {
    let ini = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n\
         [other]\naws_access_key_id = {OTHER_ACCESS_KEY}\naws_secret_access_key = {OTHER_SECRET_KEY}\n\
         aws_account_id = {OTHER_ACCOUNT}\n"
    );
    let parts = identity::Parts {
        catalog,
        keys,
        clock: foundation.clock.clone(),
        entropy: foundation.entropy.clone(),
        roots: Arc::new(File::parse(&ini, account).unwrap()),
        region: "us-east-1".to_owned(),
    };
    Identities::open(parts).await.unwrap()
}

/// The audit trail, whose files go into buckets of the store.
async fn audit_trail(
    foundation: &Foundation,
    catalog: Arc<Gate>,
    (keys, compliance): (Arc<KeyTable>, Arc<ComplianceClock>),
    store: &Arc<ObjectStore>,
) -> Arc<Audit> {
    let parts = audit::Parts {
        catalog,
        keys,
        clock: foundation.clock.clone(),
        compliance,
        entropy: foundation.entropy.clone(),
        region: "us-east-1".to_owned(),
        day: objectstore::DAY,
        sink: Arc::new(objectstore::TrailSink::new(store.clone())),
    };
    Audit::open(parts).await.unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::configured(Config { limits, ..Config::default() }).await
    }

    /// One whose new buckets have this ownership.
    pub(crate) async fn owned_by(new_bucket_ownership: ObjectOwnership) -> Self {
        Self::configured(Config { new_bucket_ownership, ..Config::default() }).await
    }

    /// A server whose doors speak TLS.
    pub(crate) async fn secured(limits: Limits) -> Self {
        let (certificate, identity) = identity();
        let (http_tls, admin_tls) = (Some(identity.clone()), Some(identity.clone()));
        let mut world = Self::configured(Config { limits, http_tls, admin_tls, ..Config::default() }).await;
        (world.certificate, world.identity) = (Some(certificate), Some(identity));
        world
    }

    /// A server whose calendar days last so long.
    pub(crate) async fn rehearsing(day: Duration) -> Self {
        Self::built(Config::default(), Some(day)).await
    }

    async fn configured(config: Config) -> Self {
        Self::built(config, None).await
    }

    async fn built(config: Config, debug_day: Option<Duration>) -> Self {
        let foundation = Foundation::new(11);
        let gaps = engine::testing::Gate::before(foundation.catalog.clone());
        let (open, commits) = (watch::Sender::new(true), watch::Sender::new(true));
        let (torn, full, panics) = (Torn::default(), AtomicBool::new(false), AtomicBool::new(false));
        let gate = Arc::new(Gate { gaps, open, commits, torn, full, panics });
        let account: AccountId = ACCOUNT.parse().unwrap();
        let mut components = foundation.components(gate.clone(), account).await;
        let receiver = Arc::new(Receiver::default());
        let courier: Arc<dyn Courier> = receiver.clone();
        let kept = std::time::Duration::from_hours(1);
        let subscriber = Subscriber { topic: "told".parse().unwrap(), courier, kept };
        let outbox = foundation.outbox(gate.clone(), vec![subscriber]);
        components.outbox = outbox.clone();
        let (keys, compliance) = (components.keys.clone(), components.compliance.clone());
        let below = below_vaults(&foundation, &components, gate.clone());
        let (clock, entropy) = (foundation.clock.clone(), foundation.entropy.clone());
        let identities = identities(&foundation, gate.clone(), keys.clone(), account).await;
        let kms = Kms::new(kms::Parts {
            catalog: gate.clone(),
            keys: keys.clone(),
            identities: identities.clone(),
            clock: clock.clone(),
            compliance: compliance.clone(),
            entropy: entropy.clone(),
            region: "us-east-1".to_owned(),
        });
        components.kms = Some(kms.clone());
        let store = ObjectStore::open(components).await.unwrap();
        let facts = Arc::new(Facts::default());
        let audit = audit_trail(&foundation, gate.clone(), (keys.clone(), compliance), &store).await;
        let idp = Arc::new(Idp::new());
        let parts = Parts {
            store: store.clone(),
            credentials: identities.clone(),
            identities,
            issuers: Arc::new(Issuers::new(idp.clone(), clock.clone())),
            kms,
            audit: audit.clone(),
            account,
            region: "us-east-1".to_owned(),
            clock: clock.clone(),
            entropy,
            admin_token: AdminToken::new("the-token"),
            status: facts.clone(),
            debug_day,
            registry: prometheus_client::registry::Registry::default(),
        };
        let state = State::new(parts, &config.limits);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { http: any, admin: any, ..config };
        let places = Places::take(any, any).unwrap();
        let server = Server::open(config, state.clone(), places).unwrap();
        let (http, admin) = (server.http_addr().unwrap(), server.admin_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async move {
            let _asked_or_dropped = stopped.await;
        }));
        Self {
            http,
            admin,
            clock,
            facts,
            gate,
            audit,
            receiver,
            store,
            idp,
            outbox,
            certificate: None,
            identity: None,
            stop: Some(stop),
            serving,
            foundation,
            state,
            below,
        }
    }

    /// Opens the Glacier door. Its packs are made in that directory.
    pub(crate) async fn open_vaults(&self, making: &std::path::Path) -> Arc<Vaults> {
        self.open_vaults_on(making, Vec::new()).await
    }

    /// The same with these media.
    pub(crate) async fn open_vaults_on(
        &self,
        making: &std::path::Path,
        media: Vec<archive::vault::MediumOptions>,
    ) -> Arc<Vaults> {
        let topics =
            Some(archive::vault::Topics { outbox: self.outbox.clone(), account: ACCOUNT.parse().unwrap() });
        let parts =
            archive::vault::Components { making: making.to_owned(), media, topics, ..self.below.clone() };
        let vaults = Vaults::open(parts).await.unwrap();
        self.state.open_vaults(vaults.clone());
        vaults
    }

    /// The events that were told since the last call.
    pub(crate) async fn events(&self) -> Vec<serde_json::Value> {
        for mut worker in self.outbox.workers() {
            while let Progress::More { .. } = worker.tick().await.unwrap() {}
        }
        std::mem::take(&mut *self.receiver.0.lock().unwrap())
    }

    /// Waits until the server has stopped, as it was asked to.
    pub(crate) async fn stopped(&mut self) {
        (&mut self.serving).await.unwrap();
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) async fn shut_down(mut self) {
        self.ask_to_stop();
        self.serving.await.unwrap();
    }

    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.http).await.unwrap(),
            host: self.http.to_string(),
            buffer: Vec::new(),
        }
    }

    /// A connection, and a bucket of that name.
    pub(crate) async fn with_bucket(&self) -> Client {
        let mut client = self.connect().await;
        assert_eq!(call(self, &mut client, ("PUT", "/bucket"), &[], b"").await.status, 200);
        client
    }

    pub(crate) async fn connect_admin(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.admin).await.unwrap(),
            host: self.admin.to_string(),
            buffer: Vec::new(),
        }
    }

    /// The bytes of a signed request. `extra` headers are signed too, the body is not.
    pub(crate) fn signed(&self, method: &str, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        self.signed_as(PayloadHash::Unsigned, (method, path), extra, body)
    }

    /// Signs a request's head.
    pub(crate) fn sign(&self, head: &mut http::request::Parts, payload: PayloadHash) {
        use engine::clock::Clock as _;
        signer(Who::Root).unwrap().sign(head, payload, self.clock.now()).unwrap();
    }

    /// The same, with what the signature says of the body.
    pub(crate) fn signed_as(
        &self,
        payload: PayloadHash,
        request: (&str, &str),
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        self.request(Who::Root, payload, request, (extra, body))
    }

    /// The bytes of anybody's request.
    pub(crate) fn sent_by(
        &self,
        who: Who,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        self.request(who, PayloadHash::Unsigned, (method, path), (extra, body))
    }

    /// The bytes of a request whose URL was signed so many seconds ago.
    pub(crate) fn presigned(
        &self,
        (who, age_s): (Who, i64),
        (method, path): (&str, &str),
        extra: &[(&str, &str)],
    ) -> Vec<u8> {
        use engine::clock::{Clock as _, Timestamp};
        let mut headers = http::HeaderMap::new();
        for (name, value) in extra {
            headers.insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let signed_at = Timestamp::from_millis(self.clock.now().as_millis() - age_s * 1_000);
        let origin = format!("http://{}", self.http);
        let uri = format!("{origin}{path}").parse().unwrap();
        let hour = std::time::Duration::from_hours(1);
        let url = signer(who).unwrap().presign(method, &uri, &headers, hour, signed_at).unwrap();
        let path = url.strip_prefix(&origin).unwrap();
        let sent: Vec<String> = extra.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let sent = sent.concat();
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n{sent}\r\n", self.http)
            .into_bytes()
    }

    fn request(
        &self,
        who: Who,
        payload: PayloadHash,
        (method, path): (&str, &str),
        (extra, body): (&[(&str, &str)], &[u8]),
    ) -> Vec<u8> {
        use engine::clock::Clock as _;
        let mut request =
            http::Request::builder().method(method).uri(path).header("host", self.http.to_string());
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-length", body.len().to_string());
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        if let Some(signer) = signer(who) {
            signer.sign(&mut parts, payload, self.clock.now()).unwrap();
        }
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }
}

/// A certificate that nobody else issued, and what a door proves with it.
pub(crate) fn identity() -> (CertificateDer<'static>, Arc<Identity>) {
    let names = ["localhost".to_owned(), "*.s3.localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    (certificate.clone(), Identity::new(vec![certificate], key).unwrap())
}

fn signer(who: Who) -> Option<Signer> {
    let (id, secret) = match who {
        Who::Root => (ACCESS_KEY, SECRET_KEY),
        Who::Other => (OTHER_ACCESS_KEY, OTHER_SECRET_KEY),
        Who::Nobody => return None,
    };
    Some(Signer {
        access_key_id: id.parse().unwrap(),
        secret: security::credentials::SecretKey::parse(secret).unwrap(),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    })
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    host: String,
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The error document's code.
    pub(crate) fn code(&self) -> &str {
        self.text()
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"))
            .map_or("", |(code, _)| code)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn of(stream: S, host: String) -> Self {
        Self { stream, host, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        // TLS may hold back what the socket did not take at once.
        self.stream.flush().await.unwrap();
    }

    /// Sends a request written by hand; `{host}` stands for the server's address.
    pub(crate) async fn send_text(&mut self, text: &str) {
        let text = text.replace("{host}", &self.host);
        self.send(text.as_bytes()).await;
    }

    /// Reads one answer; `None` when the server closed the connection before one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.read_answer(false).await
    }

    /// The answer to a HEAD request, which has no body whatever its length says.
    pub(crate) async fn answer_to_head(&mut self) -> Option<Answer> {
        self.read_answer(true).await
    }

    /// Reads a head, and nothing behind it.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                assert!(
                    self.buffer.is_empty(),
                    "half an answer: {:?}",
                    String::from_utf8_lossy(&self.buffer)
                );
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body: Vec::new() })
    }

    /// Reads the next of HTTP's chunks; an empty one is the last.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let (start, length) = loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..at]).unwrap();
                break (at + 2, usize::from_str_radix(size, 16).unwrap());
            }
            assert!(self.fill().await, "the body ended early");
        };
        while self.buffer.len() < start + length + 2 {
            assert!(self.fill().await, "the body ended early");
        }
        let framed: Vec<u8> = self.buffer.drain(..start + length + 2).collect();
        assert!(framed.ends_with(b"\r\n"));
        framed[start..start + length].to_vec()
    }

    async fn read_answer(&mut self, to_head: bool) -> Option<Answer> {
        let mut answer = self.head().await?;
        if answer.status >= 200 && !to_head {
            let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
            while self.buffer.len() < length {
                assert!(self.fill().await, "the body ended early");
            }
            answer.body = self.buffer.drain(..length).collect();
        }
        Some(answer)
    }

    /// Waits until the server closes, and says whether it did so without sending anything more.
    pub(crate) async fn closed(&mut self) -> bool {
        while self.fill().await {}
        self.buffer.is_empty()
    }

    /// What else comes until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> bool {
        let mut piece = [0; 4096];
        // A reset is an end too.
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..count]);
        count > 0
    }
}

/// The digest that a document must bring.
pub(crate) fn content_md5(document: &[u8]) -> String {
    STANDARD.encode(Md5::digest(document))
}

/// Sends a signed request and waits for its answer.
pub(crate) async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    client: &mut Client<S>,
    request: (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    client.send(&world.signed(request.0, request.1, headers, body)).await;
    if request.0 == "HEAD" { client.answer_to_head().await.unwrap() } else { client.answer().await.unwrap() }
}

/// Sends anybody's request and waits for its answer.
pub(crate) async fn ask(
    world: &World,
    client: &mut Client,
    who: Who,
    request: (&str, &str),
    (headers, body): (&[(&str, &str)], &[u8]),
) -> Answer {
    client.send(&world.sent_by(who, request.0, request.1, headers, body)).await;
    if request.0 == "HEAD" { client.answer_to_head().await.unwrap() } else { client.answer().await.unwrap() }
}
