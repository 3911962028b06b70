//! `culld serve --check`: what would be open to whom.

use serde_json::{Value, json};

use super::Outcome;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use crate::access::{Access, EVERYWHERE, Role, open_to};
use crate::config::Config;
use crate::grpc;

/// Checks the settings and the files that they name, and prints what they open to whom. Nothing is started.
pub(super) fn run(config: &Config, out: &mut Output) -> Result<Outcome, CliError> {
    let access = Access::open(&config.access).map_err(CliError::Access)?;
    if let Some(files) = &config.access.tls {
        grpc::check_tls(files).map_err(CliError::Tls)?;
    }
    let reached = if config.listen.ip().is_loopback() { "this machine" } else { "other machines" };
    let transport = match &config.access.tls {
        None => "plain HTTP",
        Some(tls) if tls.client_ca.is_some() => "TLS, callers' certificates asked for",
        Some(_) => "TLS",
    };
    let roots: Vec<String> = config.allowed_roots.iter().map(|root| root.display().to_string()).collect();
    let limit = |limit: Option<u64>| limit.map_or("as many as fit".to_owned(), |limit| limit.to_string());
    let mut facts = Table::new(&["what", "is"]);
    let rows = [
        ("address", format!("{}, reached from {reached}", config.listen)),
        ("transport", transport.to_owned()),
        (
            "callers say who they are",
            if access.is_closed() { "yes" } else { "no: everybody may everything" }.into(),
        ),
        ("health", "to anyone: whether it serves, no more".to_owned()),
        (
            "directories that imports and previews read",
            if roots.is_empty() { "none".into() } else { roots.join(", ") },
        ),
        ("calls of one caller at a time", config.access.caller_calls_max.to_string()),
        ("streams among them", config.access.caller_streams_max.to_string()),
        ("images of a collection", limit(config.quota.images_max)),
        ("bytes of a collection", limit(config.quota.bytes_max)),
        ("bytes in flight", config.inflight_bytes_max.to_string()),
    ];
    rows.iter().for_each(|(what, is)| facts.row([(*what).to_owned(), is.clone()]));
    out.table(&facts);
    let mut callers = Table::new(&["caller", "roles", "collections"]);
    let mut listed = Vec::new();
    for (name, roles, collections) in callers_of(config, &access) {
        callers.row([name.clone(), roles.join(", "), collections.join(", ")]);
        listed.push(json!({"caller": name, "roles": roles, "collections": collections}));
    }
    out.line("");
    out.table(&callers);
    out.object(&json!({
        "listen": config.listen.to_string(),
        "tls": config.access.tls.is_some(),
        "client_certificates": config.access.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
        "closed": access.is_closed(),
        "allowed_roots": roots,
        "caller_calls_max": config.access.caller_calls_max,
        "caller_streams_max": config.access.caller_streams_max,
        "collection_images_max": config.quota.images_max,
        "collection_bytes_max": config.quota.bytes_max,
        "callers": Value::Array(listed),
    }));
    Ok(Outcome::Done)
}

/// Names, roles and collections of those who may come in.
fn callers_of(config: &Config, access: &Access) -> Vec<(String, Vec<&'static str>, Vec<String>)> {
    let everything = (vec![Role::Admin.name()], vec![EVERYWHERE.to_owned()]);
    if !access.is_closed() {
        let whoever = "whoever reaches the address".to_owned();
        return vec![(whoever, everything.0, everything.1)];
    }
    if config.access.tokens.is_none() {
        let signed = "certificates of the authority".to_owned();
        return vec![(signed, everything.0, everything.1)];
    }
    let words = |(name, (roles, collections)): (String, (Vec<Role>, Vec<String>))| {
        (name, roles.into_iter().map(Role::name).collect(), collections)
    };
    open_to(access).into_iter().map(words).collect()
}
