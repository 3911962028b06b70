//! The runner of the conformance suite for the crate's own client; `clients/conformance/README.md` says what it does.
#![allow(clippy::print_stdout, reason = "a runner says what it found")]

#[path = "runner/behaviours.rs"]
mod behaviours;
#[path = "runner/call.rs"]
mod call;
#[path = "runner/matchers.rs"]
mod matchers;

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use culld::client::transfer::TransferError;
use culld::client::{Connection, Options, request_id};
use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Status;
use tonic_types::StatusExt as _;

use matchers::{at, differs};

const LIMIT_SECONDS: u64 = 60;
const REPEAT: Duration = Duration::from_secs(30);

/// The flags that every runner takes.
#[derive(Debug, Clone, Parser)]
struct Flags {
    #[arg(long)]
    scenarios: PathBuf,
    #[arg(long)]
    pictures: PathBuf,
    #[arg(long)]
    address: String,
    #[arg(long)]
    gate: Option<String>,
    #[arg(long)]
    tls: Option<String>,
    #[arg(long)]
    ca: Option<PathBuf>,
    #[arg(long)]
    secured: Option<String>,
    #[arg(long)]
    secured_token: Option<String>,
    #[arg(long)]
    cert: Option<PathBuf>,
    #[arg(long)]
    key: Option<PathBuf>,
    #[arg(long)]
    token: Option<String>,
    #[arg(long)]
    control: Option<String>,
    #[arg(long)]
    only: Option<String>,
    #[arg(long)]
    bench: Option<PathBuf>,
}

/// Why a step did not come out as it has to.
enum Failure {
    /// The call failed.
    Call(Box<Status>),
    /// Anything else.
    Other(String),
}

impl From<Box<Status>> for Failure {
    fn from(status: Box<Status>) -> Self {
        Self::Call(status)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Call(status) => Self::Call(status),
            error => Self::Other(error.to_string()),
        }
    }
}

fn other<T, E: Error>(result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Other(error.to_string()))
}

/// An error of the client as the suite sees it.
fn error_json(status: &Status) -> Value {
    let details = status.get_error_details();
    let mut found = Map::new();
    found.insert("code".to_owned(), json!(code_name(status)));
    let mut put = |name: &str, value: Value| {
        if value != json!("") && value != json!([]) {
            found.insert(name.to_owned(), value);
        }
    };
    put("message", json!(status.message()));
    put("reason", json!(details.error_info().map_or("", |info| &info.reason)));
    let violations = details.bad_request().map_or(&[][..], |request| &request.field_violations);
    put("fields", violations.iter().map(|violation| json!(violation.field)).collect());
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        put("retrySeconds", json!(delay.as_secs_f64()));
    }
    Value::Object(found)
}

/// `NotFound` is `NOT_FOUND`.
fn code_name(status: &Status) -> String {
    let name = format!("{:?}", status.code());
    let mut words = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            words.push('_');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

/// One run against one daemon.
struct Runner {
    flags: Flags,
    ids: HashMap<String, String>,
    pool: DescriptorPool,
    connections: HashMap<(String, String), Connection>,
}

impl Runner {
    fn new(mut flags: Flags) -> Result<Self, Box<dyn Error>> {
        flags.pictures = flags.pictures.canonicalize()?;
        let ids = serde_json::from_slice(&std::fs::read(flags.pictures.join("ids.json"))?)?;
        let pool = DescriptorPool::decode(culld::proto::DESCRIPTOR_SET)?;
        Ok(Self { flags, ids, pool, connections: HashMap::new() })
    }

    fn connection(&mut self, step: &Value) -> Result<Connection, Failure> {
        let through = step["through"].as_str().unwrap_or_default().to_owned();
        let token = step["token"].as_str().map(str::to_owned);
        let of_flags = if through == "secured" { &self.flags.secured_token } else { &self.flags.token };
        let token = token.or_else(|| of_flags.clone()).unwrap_or_default();
        let known = (through, token);
        if let Some(connection) = self.connections.get(&known) {
            return Ok(connection.clone());
        }
        let flags = &self.flags;
        let (address, ca, own) = match &*known.0 {
            "gate" => (flags.gate.clone(), None, None),
            "tls" => (flags.tls.clone(), flags.ca.clone(), None),
            "secured" => {
                (flags.secured.clone(), flags.ca.clone(), flags.cert.as_ref().zip(flags.key.as_ref()))
            }
            _ => (Some(flags.address.clone()), None, None),
        };
        let read_both = |(cert, key): (&PathBuf, &PathBuf)| -> std::io::Result<_> {
            Ok((std::fs::read(cert)?, std::fs::read(key)?))
        };
        let options = Options {
            address: address.unwrap_or_default(),
            token: Some(known.1.clone()).filter(|token| !token.is_empty()),
            ca_pem: other(ca.map(std::fs::read).transpose())?,
            certificate_pem: other(own.map(read_both).transpose())?,
            timeout: Some(Duration::from_secs(330)),
            ..Options::default()
        };
        let connection = other(Connection::new(&options))?;
        self.connections.insert(known, connection.clone());
        Ok(connection)
    }

    fn missing(&self, scenario: &Value) -> Option<String> {
        let has = |need: &str| match need {
            "gate" => self.flags.gate.is_some(),
            "tls" => self.flags.tls.is_some(),
            "secured" => self.flags.secured.is_some(),
            "token" => self.flags.token.is_some(),
            "control" => self.flags.control.is_some(),
            _ => false,
        };
        let needs = scenario["needs"].as_array()?;
        needs.iter().filter_map(Value::as_str).find(|need| !has(need)).map(str::to_owned)
    }

    async fn run(&mut self, path: &Path) -> Result<Value, Box<dyn Error>> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let scenario: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        if let Some(need) = self.missing(&scenario) {
            return Ok(json!({"scenario": name, "skipped": format!("no --{need}")}));
        }
        let limit = scenario["limit_seconds"].as_u64().unwrap_or(LIMIT_SECONDS);
        let collection = format!("{name}-{}", &request_id()[..8]);
        let started = Instant::now();
        let work = self.steps(&collection, &scenario);
        let problem = match tokio::time::timeout(Duration::from_secs(limit), work).await {
            Ok(problem) => problem,
            Err(_) => Some(format!("longer than {limit} s")),
        };
        let _ = tokio::time::timeout(Duration::from_secs(20), self.forget(&collection)).await;
        let seconds = (started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        Ok(match problem {
            None => json!({"scenario": name, "ok": true, "seconds": seconds}),
            Some(error) => json!({"scenario": name, "ok": false, "error": error, "seconds": seconds}),
        })
    }

    async fn forget(&mut self, collection: &str) -> Result<(), Failure> {
        let request = culld::proto::DeleteCollectionRequest {
            collection: collection.to_owned(),
            request_id: request_id(),
        };
        let connection = self.connection(&Value::Null)?;
        let mut collections = connection.collections();
        connection.call(request, None, async |request| collections.delete_collection(request).await).await?;
        Ok(())
    }

    async fn steps(&mut self, collection: &str, scenario: &Value) -> Option<String> {
        let mut variables = HashMap::from([
            ("collection".to_owned(), json!(collection)),
            ("language".to_owned(), json!("rust")),
            ("pictures".to_owned(), json!(self.flags.pictures)),
        ]);
        let create =
            json!({"call": "CollectionService/CreateCollection", "request": {"collection": "${collection}"}});
        let no_steps = Vec::new();
        let steps = scenario["steps"].as_array().unwrap_or(&no_steps);
        for (at, step) in std::iter::once(&create).chain(steps).enumerate() {
            let end = Instant::now() + if step["repeat"] == json!(true) { REPEAT } else { Duration::ZERO };
            while let Err(words) = self.step(step, &mut variables).await {
                if Instant::now() >= end {
                    let what = ["call", "do", "control"].iter().find_map(|kind| step[*kind].as_str());
                    return Some(format!("step {at} ({}): {words}", what.unwrap_or_default()));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        None
    }

    async fn step(&mut self, raw: &Value, variables: &mut HashMap<String, Value>) -> Result<(), String> {
        let step = self.filled(raw, variables)?;
        let answer = match self.answer(&step).await {
            Ok(answer) => answer,
            Err(Failure::Other(words)) => return Err(words),
            Err(Failure::Call(status)) => {
                let error = error_json(&status);
                return match step.get("error") {
                    None => Err(format!("failed with {error}")),
                    Some(wanted) => differs(&self.ids, wanted, Some(&error), "error").map_or(Ok(()), Err),
                };
            }
        };
        if step.get("error").is_some() {
            return Err(format!("succeeded: {}", matchers::short(&answer)));
        }
        if let Some(wanted) = step.get("expect")
            && let Some(words) = differs(&self.ids, wanted, Some(&answer), "answer")
        {
            return Err(words);
        }
        for (name, path) in raw["save"].as_object().into_iter().flatten() {
            let path = path.as_str().unwrap_or_default();
            let value = at(&answer, path)
                .ok_or_else(|| format!("nothing at {path} of {}", matchers::short(&answer)))?;
            variables.insert(name.clone(), value);
        }
        Ok(())
    }

    /// A step with its variables and files put in.
    fn filled(&self, value: &Value, variables: &HashMap<String, Value>) -> Result<Value, String> {
        Ok(match value {
            Value::Object(fields) => {
                let filled =
                    fields.iter().map(|(name, inner)| Ok((name.clone(), self.filled(inner, variables)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, String>>()?)
            }
            Value::Array(entries) => entries
                .iter()
                .map(|inner| self.filled(inner, variables))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
            Value::String(text) => self.named(text, variables)?,
            plain => plain.clone(),
        })
    }

    fn named(&self, text: &str, variables: &HashMap<String, Value>) -> Result<Value, String> {
        if let Some(file) = text.strip_prefix("$file:") {
            let bytes =
                std::fs::read(self.flags.pictures.join(file)).map_err(|error| format!("{file}: {error}"))?;
            return Ok(json!(call::base64(&bytes)));
        }
        let value = |name: &str| match name.strip_prefix("id:") {
            Some(picture) => self.ids.get(picture).map(|id| json!(id)),
            None => variables.get(name).cloned(),
        };
        let (mut made, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').ok_or("a brace is missing")?;
            let value = value(name).ok_or_else(|| format!("there is no variable {name}"))?;
            if before.is_empty() && tail.is_empty() && made.is_empty() {
                return Ok(value);
            }
            made.push_str(before);
            made.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            rest = tail;
        }
        made.push_str(rest);
        Ok(json!(made))
    }

    async fn answer(&mut self, step: &Value) -> Result<Value, Failure> {
        if let Some(command) = step["control"].as_str() {
            return self.control(command).await;
        }
        let connection = self.connection(step)?;
        match step["do"].as_str() {
            Some(behaviour) => self.behave(&connection, behaviour, &step["with"]).await,
            None => call::answer(&self.pool, &self.ids, &connection, step).await,
        }
    }

    /// Posts to the control address: HTTP/1.1 by hand, which is all it takes.
    async fn control(&self, command: &str) -> Result<Value, Failure> {
        let url = self.flags.control.as_deref().unwrap_or_default();
        let host = url.trim_start_matches("http://");
        let mut stream = other(tokio::net::TcpStream::connect(host).await)?;
        let head = format!(
            "POST /{command} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        other(stream.write_all(head.as_bytes()).await)?;
        let mut answer = String::new();
        other(stream.read_to_string(&mut answer).await)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.split(' ').nth(1).is_none_or(|status| status != "200") {
            return Err(Failure::Other(format!("control {command}: {answer}")));
        }
        other(serde_json::from_str(body))
    }
}

async fn run(flags: Flags) -> Result<bool, Box<dyn Error>> {
    if let Some(folder) = &flags.bench {
        println!("{}", behaviours::bench(&flags, folder).await?);
        return Ok(true);
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&flags.scenarios)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    let only: Option<Vec<String>> =
        flags.only.as_ref().map(|names| names.split(',').map(str::to_owned).collect());
    let mut runner = Runner::new(flags)?;
    let mut good = true;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.as_ref().is_none_or(|only| only.contains(&name)) {
            let result = runner.run(path).await?;
            good &= result["ok"] != json!(false);
            println!("{result}");
        }
    }
    Ok(good)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let good = run(Flags::parse()).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
