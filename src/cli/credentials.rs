//! What a command says of who runs it, and how it knows the daemon.

use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use crate::client::Options;

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

impl Credentials {
    /// How to connect to an address.
    pub(super) fn options(&self, server: &str) -> Result<Options, CliError> {
        let certificate_pem = match (&self.client_cert, &self.client_key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            (None, None) => None,
            _ => return Err(CliError::Usage("--client-cert and --client-key go together".to_owned())),
        };
        Ok(Options {
            address: self.address(server),
            token: self.token()?,
            ca_pem: self.ca.as_ref().map(read).transpose()?,
            certificate_pem,
            ..Options::default()
        })
    }

    /// An address with its scheme: what is to be known by a certificate speaks TLS.
    fn address(&self, server: &str) -> String {
        let scheme = if self.ca.is_some() || self.client_cert.is_some() { "https" } else { "http" };
        if server.contains("://") { server.to_owned() } else { format!("{scheme}://{server}") }
    }

    fn token(&self) -> Result<Option<String>, CliError> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.trim().to_owned())),
            (None, Some(path)) => {
                let token = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
                Ok(Some(token.trim().to_owned()))
            }
            (None, None) => Ok(None),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(CliError::file("read", path))
}
