//! What a command says of who runs it, and how it knows the daemon.

use std::path::PathBuf;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Request, Status};

use super::error::CliError;

/// A connection that says who calls.
pub(super) type Wire = InterceptedService<Channel, Bearer>;

/// Who runs a command, and how the daemon is known.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Credentials {
    /// Token to come in with; better in the environment or a file, since others of this machine see a command's flags
    #[arg(long, global = true, env = "CULLD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the token
    #[arg(long, global = true, env = "CULLD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that the daemon's is signed by [default: those that the system trusts]
    #[arg(long, global = true, env = "CULLD_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate (PEM) to come in with
    #[arg(long, global = true, env = "CULLD_CLIENT_CERT", value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate
    #[arg(long, global = true, env = "CULLD_CLIENT_KEY", value_name = "FILE")]
    client_key: Option<PathBuf>,
}

/// Adds the token to every call.
#[derive(Debug, Clone, Default)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Credentials {
    /// An address with its scheme: what is to be known by a certificate speaks TLS.
    pub(super) fn address(&self, server: &str) -> String {
        let scheme = if self.ca.is_some() || self.client_cert.is_some() { "https" } else { "http" };
        if server.contains("://") { server.to_owned() } else { format!("{scheme}://{server}") }
    }

    /// What is added to every call.
    pub(super) fn bearer(&self) -> Result<Bearer, CliError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(CliError::file("read", path))?,
            (None, None) => return Ok(Bearer(None)),
        };
        let value = MetadataValue::try_from(format!("Bearer {}", token.trim()));
        let mut value =
            value.map_err(|_| CliError::Usage("the token has characters that no token has".to_owned()))?;
        // So that no layer in between writes it to a log.
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }

    /// TLS, for an address that speaks it.
    pub(super) fn tls(&self) -> Result<ClientTlsConfig, CliError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(CliError::file("read", path));
        let mut tls = match &self.ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match (&self.client_cert, &self.client_key) {
            (Some(cert), Some(key)) => tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
            (None, None) => {}
            _ => return Err(CliError::Usage("--client-cert and --client-key go together".to_owned())),
        }
        Ok(tls)
    }
}
