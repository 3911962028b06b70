//! The crate's own client: a connection that tries again where that may help, the two streams that outlive a restart
//! of the daemon, and those of whole collections. `culld add` adds with it.
//!
//! Single calls are made with the generated clients ([`Connection::images`] and its like) through
//! [`Connection::call`], so that every field of the API is at hand.

pub mod add;
pub mod transfer;
pub mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::proto::admin_service_client::AdminServiceClient;
use crate::proto::clustering_service_client::ClusteringServiceClient;
use crate::proto::collection_service_client::CollectionServiceClient;
use crate::proto::decision_service_client::DecisionServiceClient;
use crate::proto::image_service_client::ImageServiceClient;

/// Bytes of the largest message either way: an image of 64 MiB and what goes with it.
const MESSAGE_BYTES_MAX: usize = 80 << 20;
/// Longest wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How often to try, and how long to wait between. Only what may succeed later is tried again: `UNAVAILABLE` and
/// broken connections, and `RESOURCE_EXHAUSTED` where the daemon says when.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries in all; 1 never tries again.
    pub tries: u32,
    /// The wait before the second try; doubled for each after it, and up to a quarter longer.
    pub first_delay: Duration,
    /// The wait between two tries, at most. A longer one that the daemon asks for is kept.
    pub longest_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 10, first_delay: Duration::from_millis(100), longest_delay: Duration::from_secs(5) }
    }
}

impl Retry {
    /// How long to wait after so many failures in a row; `None` where trying again is of no use.
    pub fn delay(&self, status: &Status, failures: u32) -> Option<Duration> {
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let passes = is_broken(status)
            || status.code() == Code::Unavailable
            || (status.code() == Code::ResourceExhausted && asked.is_some());
        if !passes || failures >= self.tries {
            return None;
        }
        let doubled = self.first_delay.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let backoff = doubled.min(self.longest_delay);
        // Callers that failed together should not come back together.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let backoff = backoff + backoff * (now.subsec_micros() % 1000) / 4000;
        Some(backoff.max(asked.unwrap_or_default()))
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// The status itself, where there is to be none, or where the deadline would come first.
    pub async fn pause(
        &self,
        status: Status,
        failures: u32,
        deadline: Option<Instant>,
    ) -> Result<(), Box<Status>> {
        match self.delay(&status, failures) {
            Some(delay) if deadline.is_none_or(|deadline| Instant::now() + delay < deadline) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            _ => Err(Box::new(status)),
        }
    }
}

/// Whether the connection broke: what the daemon says comes without a source.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Where the daemon is, and how to speak to it. Not to be shown: it holds the token and the private key.
#[derive(Clone, Default)]
pub struct Options {
    /// `http://HOST:PORT`, or `https://` for TLS.
    pub address: String,
    /// The bearer token that the daemon wants.
    pub token: Option<String>,
    /// The authorities to trust with `https://`, in PEM; without them those that the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// The certificate to come in with, with its chain, and its private key, both in PEM.
    pub certificate_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// What to do about failures that pass.
    pub retry: Retry,
    /// For every unary call, retries included; `None` for no end.
    pub timeout: Option<Duration>,
}

/// Puts the token into every call.
#[derive(Debug, Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Token {
    fn new(options: &Options) -> Result<Self, ConnectError> {
        let Some(token) = &options.token else { return Ok(Self(None)) };
        let mut value =
            MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| ConnectError::Token)?;
        // So that no layer in between writes it to a log.
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// What calls go over.
pub type Wire = InterceptedService<Channel, Token>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address, or the certificate, can't be used.
    #[error("{address} can't be used: {source}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// The token has characters that no header may have.
    #[error("the token has characters that no token has")]
    Token,
    /// Nobody answers there, or not as it has to be.
    #[error("{address} can't be reached: {source}")]
    Unreachable {
        /// The address.
        address: String,
        /// What happened.
        source: tonic::transport::Error,
    },
}

/// A connection to a daemon; cheap to clone. It connects with the first call, and again when it has to.
#[derive(Debug, Clone)]
pub struct Connection {
    wire: Wire,
    retry: Retry,
    timeout: Option<Duration>,
}

impl Connection {
    /// A connection as the options say, which is made with the first call.
    ///
    /// # Errors
    /// The address, a certificate or the token can't be used.
    pub fn new(options: &Options) -> Result<Self, ConnectError> {
        let (endpoint, token) = (endpoint(options)?, Token::new(options)?);
        Ok(Self::over(endpoint.connect_lazy(), token, options))
    }

    /// A connection as the options say, once it is made.
    ///
    /// # Errors
    /// As for [`Connection::new`], or the daemon can't be reached within 5 s.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        let (endpoint, token) = (endpoint(options)?, Token::new(options)?);
        let unreachable = |source| ConnectError::Unreachable { address: options.address.clone(), source };
        Ok(Self::over(endpoint.connect().await.map_err(unreachable)?, token, options))
    }

    fn over(channel: Channel, token: Token, options: &Options) -> Self {
        let wire = InterceptedService::new(channel, token);
        Self { wire, retry: options.retry, timeout: options.timeout }
    }

    /// What calls go over, for clients that are made elsewhere.
    pub fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// What is done about failures that pass.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// One unary act, tried again where that may help. `method` makes one try of it, such as
    /// `async |request| images.get_image(request).await`. A mutation needs a `request_id` ([`request_id`]) to be one act
    /// however often it is sent.
    ///
    /// # Errors
    /// What the daemon says, or `DEADLINE_EXCEEDED` after `timeout`, else after the connection's.
    pub async fn call<Req: Clone, Res>(
        &self,
        request: Req,
        timeout: Option<Duration>,
        mut method: impl AsyncFnMut(Request<Req>) -> Result<Response<Res>, Status>,
    ) -> Result<Res, Box<Status>> {
        let deadline = timeout.or(self.timeout).map(|timeout| Instant::now() + timeout);
        let mut failures = 0;
        loop {
            let mut attempt = Request::new(request.clone());
            let answer = match deadline {
                None => method(attempt).await,
                Some(deadline) => {
                    attempt.set_timeout(deadline.saturating_duration_since(Instant::now()));
                    let late = |_| Status::deadline_exceeded("no answer came in time");
                    tokio::time::timeout_at(deadline, method(attempt)).await.map_err(late).flatten()
                }
            };
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => {
                    failures += 1;
                    self.retry.pause(in_time(status, deadline), failures, deadline).await?;
                }
            }
        }
    }
}

/// Where to connect, and how.
fn endpoint(options: &Options) -> Result<Endpoint, ConnectError> {
    let named = |source| ConnectError::Address { address: options.address.clone(), source };
    let mut endpoint = Endpoint::from_shared(options.address.clone()).map_err(named)?;
    if options.address.starts_with("https://") {
        let mut tls = match &options.ca_pem {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &options.certificate_pem {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint.tls_config(tls).map_err(named)?;
    }
    Ok(endpoint.connect_timeout(CONNECT_TIME_MAX))
}

/// The transport minds the deadline as well, and calls it a cancellation where it is the first to see that it is over.
fn in_time(status: Status, deadline: Option<Instant>) -> Status {
    let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if over && status.code() == Code::Cancelled {
        Status::deadline_exceeded(status.message())
    } else {
        status
    }
}

macro_rules! services {
    ($($name:ident: $client:ident, $words:literal;)*) => {
        impl Connection {
            $(
                #[doc = $words]
                pub fn $name(&self) -> $client<Wire> {
                    $client::new(self.wire())
                        .max_decoding_message_size(MESSAGE_BYTES_MAX)
                        .max_encoding_message_size(MESSAGE_BYTES_MAX)
                }
            )*
        }
    };
}

services! {
    admin: AdminServiceClient, "Operations, figures.";
    clusterings: ClusteringServiceClient, "Clusterings.";
    collections: CollectionServiceClient, "Collections and their policies.";
    decisions: DecisionServiceClient, "Verdicts and decisions.";
    images: ImageServiceClient, "Images.";
}

/// A new name for an act, so that however often it is sent it is done once.
pub fn request_id() -> String {
    static ACTS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let act = (now.as_nanos(), std::process::id(), ACTS.fetch_add(1, Ordering::Relaxed));
    blake3::hash(format!("{act:?}").as_bytes()).to_hex()[..32].to_owned()
}
