//! `culld token`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::Outcome;
use super::error::CliError;
use super::output::Output;
use crate::access::{
    CertificateEntry, EVERYWHERE, Role, TokenEntry, certificate_digest, new_token, token_hash,
};

/// Make what callers come in with
///
/// What is printed under "for the tokens file" goes into the file that `culld serve --tokens` names, which holds no
/// token. The daemon reads the file again when it changes; an entry that is taken out ends what it let in.
///
/// Example: culld token new camera-7 --role add --at cars
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token; it is printed this once
    New(NewArgs),
    /// Let in who comes with a certificate that is signed by --tls-client-ca
    Certificate(CertificateArgs),
}

#[derive(Debug, Args)]
struct Grant {
    /// The name, which is the actor of what is done
    name: String,
    /// What the holder may do; may be repeated
    #[arg(long = "role", required = true, value_enum, value_name = "ROLE")]
    roles: Vec<RoleArg>,
    /// Collection to do it in; may be repeated [default: all]
    #[arg(long = "at", value_name = "NAME")]
    collections: Vec<String>,
}

#[derive(Debug, Args)]
struct NewArgs {
    #[command(flatten)]
    grant: Grant,
}

#[derive(Debug, Args)]
struct CertificateArgs {
    #[command(flatten)]
    grant: Grant,
    /// The certificate, in PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// See images, clusters, decisions and the log
    Read,
    /// Add images, and nothing else
    Add,
    /// Judge, take back and cluster; includes read
    Judge,
    /// Everything
    Admin,
}

impl Grant {
    fn roles(&self) -> Vec<Role> {
        let role = |role: &RoleArg| match role {
            RoleArg::Read => Role::Read,
            RoleArg::Add => Role::Add,
            RoleArg::Judge => Role::Judge,
            RoleArg::Admin => Role::Admin,
        };
        self.roles.iter().map(role).collect()
    }

    fn collections(&self) -> Vec<String> {
        if self.collections.is_empty() { vec![EVERYWHERE.to_owned()] } else { self.collections.clone() }
    }
}

/// The entry as it stands in the file.
fn entry(kind: &str, entry: &impl Serialize) -> Result<String, CliError> {
    let text = toml::to_string(entry).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(format!("[[{kind}]]\n{text}"))
}

/// Makes what was asked for.
pub(super) fn run(args: TokenArgs, out: &mut Output) -> Result<Outcome, CliError> {
    match args.what {
        What::New(NewArgs { grant }) => {
            let token = new_token().map_err(CliError::Access)?;
            let hash = token_hash(&token).to_hex().to_string();
            let (roles, collections) = (grant.roles(), grant.collections());
            let entry = entry("token", &TokenEntry { name: grant.name, hash, roles, collections })?;
            out.line(format!(
                "the token, which is shown this once:\n\n{token}\n\nfor the tokens file:\n\n{entry}"
            ));
            out.object(&json!({"token": token, "entry": entry}));
        }
        What::Certificate(CertificateArgs { grant, cert }) => {
            let sha256 = certificate_digest(&cert).map_err(CliError::Access)?;
            let (roles, collections) = (grant.roles(), grant.collections());
            let entry =
                entry("certificate", &CertificateEntry { name: grant.name, sha256, roles, collections })?;
            out.line(format!("for the tokens file:\n\n{entry}"));
            out.object(&json!({"entry": entry}));
        }
    }
    Ok(Outcome::Done)
}
