//! TLS: the daemon by its certificate, callers by theirs.

use std::fs;
use std::path::{Path, PathBuf};

use culld::access::{Role, certificate_digest};
use culld::config::TlsFiles;
use culld::proto;
use culld::proto::admin_service_client::AdminServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Response};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Token, by, write_tokens};
use culld::app::Daemon;
use culld::config::{Config, ModelSetting};

/// An authority, and what it signed, as files.
struct Pki {
    folder: TempDir,
}

impl Pki {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Self { folder };
        for authority in ["ca", "stranger-ca"] {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            fs::write(pki.path(&format!("{authority}.pem")), issuer.pem()).unwrap();
            let signed: &[&str] = if authority == "ca" { &["server", "ana", "bob"] } else { &["stranger"] };
            for name in signed {
                let key = KeyPair::generate().unwrap();
                let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
                fs::write(pki.path(&format!("{name}.pem")), params.signed_by(&key, &issuer).unwrap().pem())
                    .unwrap();
                fs::write(pki.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
            }
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self, client_ca: bool) -> TlsFiles {
        TlsFiles {
            cert: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: client_ca.then(|| self.path("ca.pem")),
        }
    }

    async fn connect(&self, daemon: &Daemon, who: Option<&str>) -> Result<Channel, tonic::transport::Error> {
        self.connect_to(daemon.address(), who).await
    }

    async fn connect_to(
        &self,
        address: std::net::SocketAddr,
        who: Option<&str>,
    ) -> Result<Channel, tonic::transport::Error> {
        let read = |name: &str| fs::read(self.path(name)).unwrap();
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("ca.pem")))
            .domain_name("localhost");
        if let Some(who) = who {
            tls = tls.identity(Identity::from_pem(read(&format!("{who}.pem")), read(&format!("{who}.key"))));
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }

    /// What a call is answered for one who comes with this certificate and this token.
    async fn code(&self, daemon: &Daemon, who: Option<&str>, token: Option<&str>) -> Code {
        let Ok(channel) = self.connect(daemon, who).await else { return Code::Unavailable };
        let request = by(token, proto::GetStatsRequest::default());
        let answer = AdminServiceClient::new(channel).get_stats(request).await;
        answer.map_or_else(|error| error.code(), |_| Code::Ok)
    }
}

async fn start(folder: &Path, change: impl FnOnce(&mut Config)) -> Daemon {
    let mut config = Config::temporary(&folder.join("data"));
    config.model = ModelSetting::Fake;
    config.workers = 1;
    change(&mut config);
    Daemon::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_come_in_by_certificate() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    // Without a file, whoever the authority signed.
    let daemon = start(folder.path(), |config| config.access.tls = Some(pki.files(true))).await;
    assert_eq!(pki.code(&daemon, Some("ana"), None).await, Code::Ok);
    assert_eq!(pki.code(&daemon, None, None).await, Code::Unauthenticated);
    // The handshake fails; the caller may learn that at once, or by its first call.
    let stranger = pki.code(&daemon, Some("stranger"), None).await;
    assert!([Code::Unavailable, Code::Cancelled, Code::Unknown].contains(&stranger), "{stranger:?}");
    // Plain HTTP is no way in.
    let plain = Endpoint::from_shared(format!("http://{}", daemon.address())).unwrap().connect_lazy();
    let request = proto::GetStatsRequest::default();
    assert_ne!(AdminServiceClient::new(plain).get_stats(request).await.unwrap_err().code(), Code::Ok);
    daemon.stop().await;
    // With one, who is in it, with the roles that are there; or a token.
    let path = folder.path().join("tokens.toml");
    let token = Token::new("token", &[Role::Read], &["*"]);
    write_tokens(&path, &[&token]);
    let digest = certificate_digest(&pki.path("ana.pem")).unwrap();
    let entry = format!(
        "[[certificate]]\nname = \"ana\"\nsha256 = {digest:?}\nroles = [\"add\"]\ncollections = [\"*\"]\n"
    );
    let text = fs::read_to_string(&path).unwrap() + &entry;
    fs::write(&path, text).unwrap();
    let daemon = start(folder.path(), |config| {
        config.access.tls = Some(pki.files(true));
        config.access.tokens = Some(path);
    })
    .await;
    assert_eq!(pki.code(&daemon, Some("ana"), None).await, Code::PermissionDenied);
    assert_eq!(pki.code(&daemon, Some("bob"), None).await, Code::Unauthenticated);
    assert_eq!(pki.code(&daemon, None, None).await, Code::Unauthenticated);
    assert_eq!(pki.code(&daemon, None, Some(&token.secret)).await, Code::Ok);
    assert_eq!(pki.code(&daemon, Some("bob"), Some(&token.secret)).await, Code::Ok);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_speaks_tls() {
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let starting = culld::grpc::Starting::on(listener, Some(&pki.files(true))).await.unwrap();
    let check = |channel| async {
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(Response::into_inner)
    };
    let secure = pki.connect_to(address, None).await.unwrap();
    assert_eq!(check(secure.clone()).await.unwrap().status(), ServingStatus::NotServing);
    let refused = AdminServiceClient::new(secure).get_stats(proto::GetStatsRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    // It gets no answer, health itself included.
    check(plain).await.unwrap_err();
    drop(starting.end().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_certificate_are_refused_by_name() {
    let pki = Pki::new();
    let folder = tempfile::tempdir().unwrap();
    let refused = async |change: fn(&mut TlsFiles, &Pki), says: &str| {
        let mut config = Config::temporary(&folder.path().join("data"));
        config.model = ModelSetting::Fake;
        let mut files = pki.files(true);
        change(&mut files, &pki);
        config.access.tls = Some(files);
        let error = Daemon::start(config).await.err().unwrap().to_string();
        assert!(error.contains(says), "{error} does not say {says}");
    };
    refused(|files, pki| files.cert = pki.path("none.pem"), "can't read the certificate").await;
    refused(|files, pki| files.cert = pki.path("server.key"), "holds no certificate").await;
    refused(|files, pki| files.key = pki.path("server.pem"), "holds no private key").await;
    refused(|files, pki| files.key = pki.path("ana.key"), "TLS can't be spoken").await;
    refused(|files, pki| files.client_ca = Some(pki.path("ana.key")), "holds no certificate").await;
}
