//! Settings: as typed (flags, environment, file) and as used (checked, with units).
//!
//! A flag beats its environment variable, that beats the file, and that beats the default.

mod access;
mod error;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

pub use self::access::{AccessConfig, Quota, TlsFiles};
pub use self::error::ConfigError;

const MIB: u64 = 1 << 20;

/// The settings of `culld serve` as typed; what is left out comes from the file, then from the default.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeArgs {
    /// Folder of the store; made if it is not there [default: ./culld-data]
    #[arg(long, env = "CULLD_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on; port 0 takes any free one [default: 127.0.0.1:7357]
    #[arg(long, env = "CULLD_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Listen on an address that other machines reach without TLS, or without asking who calls
    #[arg(long, env = "CULLD_LISTEN_UNPROTECTED", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub listen_unprotected: Option<bool>,
    /// Certificate (PEM, with its chain) to speak TLS with [default: none, plain HTTP]
    #[arg(long, env = "CULLD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, env = "CULLD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Certificates (PEM) that callers' certificates are signed by; without --tokens each of them may everything
    #[arg(long, env = "CULLD_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// TOML file of callers' tokens and certificates, see `culld token`; read again when it changes [default: none,
    /// everybody may everything]
    #[arg(long, env = "CULLD_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Calls of one caller at a time, 1 to 10,000; only where callers say who they are [default: 64]
    #[arg(long, env = "CULLD_CALLER_CALLS_MAX", value_name = "N")]
    pub caller_calls_max: Option<usize>,
    /// Streams among them, 1 to 10,000 [default: 16]
    #[arg(long, env = "CULLD_CALLER_STREAMS_MAX", value_name = "N")]
    pub caller_streams_max: Option<usize>,
    /// Images that a collection may hold, up to 4,294,967,295; 0: as many as fit [default: 0]
    #[arg(long, env = "CULLD_COLLECTION_IMAGES_MAX", value_name = "N")]
    pub collection_images_max: Option<u64>,
    /// GiB that the files of a collection's images may have in all, up to 1,048,576; 0: as many as fit [default: 0]
    #[arg(long, env = "CULLD_COLLECTION_GIB_MAX", value_name = "GIB")]
    pub collection_gib_max: Option<u64>,
    /// How the log is written: `text`, or `json`, one object a line [default: text]
    #[arg(long, env = "CULLD_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Where traces of calls go: an OpenTelemetry collector's gRPC address, such as `http://127.0.0.1:4317` [default:
    /// none]
    #[arg(long, env = "CULLD_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// TOML file of settings, named as the flags with '_' for '-'
    #[arg(long, env = "CULLD_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// ONNX Runtime's shared library [default: searched, see `culld setup`]
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Model: `built-in`, or an ONNX file with a TOML beside it [default: built-in]
    #[arg(long, env = "CULLD_MODEL", value_name = "FILE")]
    pub model: Option<String>,
    /// Neighbour index: `auto` scans exactly while that is faster, then uses HNSW [default: auto]
    #[arg(long, env = "CULLD_INDEX", value_enum)]
    pub index: Option<IndexSetting>,
    /// When an answer counts as durable: `fsync` survives power loss, `process` a killed daemon [default: fsync]
    #[arg(long, env = "CULLD_DURABILITY", value_enum)]
    pub durability: Option<DurabilitySetting>,
    /// Threads that decode and embed, 1 to 256 [default: one per processor]
    #[arg(long, env = "CULLD_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
    /// Directory that `ImportSources` may read; may be repeated [default: none]
    #[arg(long = "allowed-root", env = "CULLD_ALLOWED_ROOTS", value_delimiter = ':', value_name = "DIR")]
    pub allowed_roots: Option<Vec<PathBuf>>,
    /// Folder that `culld backup` writes to; made if it is not there [default: none]
    #[arg(long, env = "CULLD_BACKUP_FOLDER", value_name = "DIR")]
    pub backup_folder: Option<PathBuf>,
    /// Largest image file, in MiB, 1 to 64 [default: 64]
    #[arg(long, env = "CULLD_IMAGE_MIB_MAX", value_name = "MIB")]
    pub image_mib_max: Option<u64>,
    /// Largest image, in megapixels, 1 to 1,000; a side has 65,535 pixels at most, whatever this is [default: 100]
    #[arg(long, env = "CULLD_IMAGE_MEGAPIXELS_MAX", value_name = "MP")]
    pub image_megapixels_max: Option<u64>,
    /// Longest time to decode one image, in seconds, 1 to 600 [default: 10]
    #[arg(long, env = "CULLD_DECODE_SECONDS_MAX", value_name = "S")]
    pub decode_seconds_max: Option<u64>,
    /// Bytes of images in flight over all callers, and again of large messages that arrive, in MiB, 64 to 65,536
    /// [default: 512]
    #[arg(long, env = "CULLD_INFLIGHT_MIB_MAX", value_name = "MIB")]
    pub inflight_mib_max: Option<u64>,
    /// Memory for stored records, in MiB, half for those read and half for those written, 0 to 65,536; once that much was
    /// written the store is opened again, which takes a moment [default: 512]
    #[arg(long, env = "CULLD_STORE_MEMORY_MIB", value_name = "MIB")]
    pub store_memory_mib: Option<u64>,
    /// Images waiting for a worker, 1 to 65,536 [default: 256]
    #[arg(long, env = "CULLD_QUEUE_IMAGES_MAX", value_name = "N")]
    pub queue_images_max: Option<usize>,
    /// Collections, 1 to 1,000 [default: 64]
    #[arg(long, env = "CULLD_COLLECTIONS_MAX", value_name = "N")]
    pub collections_max: Option<usize>,
    /// Clusterings kept per collection beside the active one, 1 to 1,000 [default: 10]
    #[arg(long, env = "CULLD_CLUSTERINGS_KEPT", value_name = "N")]
    pub clusterings_kept: Option<usize>,
    /// How long a review item is leased to who looks at it, in seconds, 10 to 86,400 [default: 600]
    #[arg(long, env = "CULLD_LEASE_SECONDS", value_name = "S")]
    pub lease_seconds: Option<u64>,
    /// Longest unary call, and longest time for a message of a stream to arrive, in seconds, 1 to 3,600; what is longer
    /// ends with `DEADLINE_EXCEEDED` [default: 310]
    #[arg(long, env = "CULLD_REQUEST_SECONDS_MAX", value_name = "S")]
    pub request_seconds_max: Option<u64>,
    /// Longest wait for calls in flight when the daemon stops, in seconds, 0 to 600 [default: 30]
    #[arg(long, env = "CULLD_DRAIN_SECONDS_MAX", value_name = "S")]
    pub drain_seconds_max: Option<u64>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which neighbour index to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexSetting {
    /// Exact scans.
    Flat,
    /// The approximate graph.
    Hnsw,
    /// Exact below the measured crossover, the graph above.
    Auto,
}

/// When a write counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DurabilitySetting {
    /// Once the disk says so: survives power loss.
    Fsync,
    /// Once the operating system has it: survives a killed process.
    Process,
}

/// Which model embeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSetting {
    /// EfficientNet-Lite0, int8, in the binary.
    BuiltIn,
    /// A colour grid: for tests of everything but embeddings.
    Fake,
    /// An ONNX file with a TOML beside it.
    File(PathBuf),
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the store.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Who may come in, and how much one may take.
    pub access: AccessConfig,
    /// How much a collection may hold.
    pub quota: Quota,
    /// How the log is written.
    pub log_format: LogFormat,
    /// Where traces of calls go.
    pub otlp_endpoint: Option<String>,
    /// ONNX Runtime's shared library, where the user named one.
    pub onnxruntime: Option<PathBuf>,
    /// Which model embeds.
    pub model: ModelSetting,
    /// Which neighbour index to use.
    pub index: IndexSetting,
    /// When a write counts as durable.
    pub durability: DurabilitySetting,
    /// Threads that decode and embed.
    pub workers: usize,
    /// Canonical directories that `ImportSources` may read.
    pub allowed_roots: Vec<PathBuf>,
    /// Where backups are written.
    pub backup_folder: Option<PathBuf>,
    /// Largest image file, bytes.
    pub image_bytes_max: u64,
    /// Largest image, pixels.
    pub image_pixels_max: u64,
    /// Longest time to decode one image.
    pub decode_time_max: Duration,
    /// Bytes of images in flight over all callers.
    pub inflight_bytes_max: u64,
    /// Memory for stored records, bytes.
    pub store_memory_bytes: u64,
    /// Images waiting for a worker.
    pub queue_images_max: usize,
    /// Collections.
    pub collections_max: usize,
    /// Clusterings kept per collection beside the active one.
    pub clusterings_kept: usize,
    /// How long a review item is leased.
    pub lease_time: Duration,
    /// Longest unary call.
    pub request_time_max: Duration,
    /// Longest wait for calls in flight at the end.
    pub drain_time_max: Duration,
}

/// One setting as `culld config` prints it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name in the settings file.
    pub name: &'static str,
    /// Its value in force.
    pub value: String,
    /// Its environment variable.
    pub env: String,
    /// What it does, its unit, range and default.
    pub help: String,
}

fn ranged(
    name: &'static str,
    value: Option<u64>,
    default: u64,
    low: u64,
    high: u64,
) -> Result<u64, ConfigError> {
    let received = value.unwrap_or(default);
    if (low..=high).contains(&received) {
        Ok(received)
    } else {
        Err(ConfigError::Range { name, received, low, high })
    }
}

fn ranged_count(
    name: &'static str,
    value: Option<usize>,
    default: usize,
    low: u64,
    high: u64,
) -> Result<usize, ConfigError> {
    ranged(name, value.map(|v| v as u64), default as u64, low, high).map(|v| v as usize)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl ServeArgs {
    /// Fills what was not typed from the settings file, where one is named.
    /// Reads what a settings file says.
    ///
    /// # Errors
    /// It is no TOML, or has a setting that there is not.
    pub fn parse_file(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    fn with_file(self) -> Result<Self, ConfigError> {
        let Some(path) = self.config.clone() else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            what: "settings file",
            path: path.clone(),
            source,
        })?;
        let file = Self::parse_file(&text)
            .map_err(|source| ConfigError::Parse { path, source: Box::new(source) })?;
        Ok(Self {
            data: self.data.or(file.data),
            listen: self.listen.or(file.listen),
            listen_unprotected: self.listen_unprotected.or(file.listen_unprotected),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_client_ca: self.tls_client_ca.or(file.tls_client_ca),
            tokens: self.tokens.or(file.tokens),
            caller_calls_max: self.caller_calls_max.or(file.caller_calls_max),
            caller_streams_max: self.caller_streams_max.or(file.caller_streams_max),
            collection_images_max: self.collection_images_max.or(file.collection_images_max),
            collection_gib_max: self.collection_gib_max.or(file.collection_gib_max),
            log_format: self.log_format.or(file.log_format),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            config: self.config,
            onnxruntime: self.onnxruntime.or(file.onnxruntime),
            model: self.model.or(file.model),
            index: self.index.or(file.index),
            durability: self.durability.or(file.durability),
            workers: self.workers.or(file.workers),
            allowed_roots: self.allowed_roots.or(file.allowed_roots),
            backup_folder: self.backup_folder.or(file.backup_folder),
            image_mib_max: self.image_mib_max.or(file.image_mib_max),
            image_megapixels_max: self.image_megapixels_max.or(file.image_megapixels_max),
            decode_seconds_max: self.decode_seconds_max.or(file.decode_seconds_max),
            inflight_mib_max: self.inflight_mib_max.or(file.inflight_mib_max),
            store_memory_mib: self.store_memory_mib.or(file.store_memory_mib),
            queue_images_max: self.queue_images_max.or(file.queue_images_max),
            collections_max: self.collections_max.or(file.collections_max),
            clusterings_kept: self.clusterings_kept.or(file.clusterings_kept),
            lease_seconds: self.lease_seconds.or(file.lease_seconds),
            request_seconds_max: self.request_seconds_max.or(file.request_seconds_max),
            drain_seconds_max: self.drain_seconds_max.or(file.drain_seconds_max),
        })
    }

    /// Reads the settings file, checks every setting and fills in defaults.
    ///
    /// # Errors
    /// A file that can't be read or parsed, a number out of range, a root that is no directory, or an address that
    /// other machines reach.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let args = self.with_file()?;
        let listen = args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7357)));
        let access = AccessConfig::of(&args, listen)?;
        let quota = Quota::of(&args)?;
        let seconds = |name, value, default, low, high| {
            ranged(name, value, default, low, high).map(Duration::from_secs)
        };
        Ok(Config {
            data: args.data.unwrap_or_else(|| PathBuf::from("culld-data")),
            listen,
            access,
            quota,
            log_format: args.log_format.unwrap_or_default(),
            otlp_endpoint: args.otlp_endpoint,
            onnxruntime: args.onnxruntime,
            model: match args.model.as_deref() {
                None | Some("built-in") => ModelSetting::BuiltIn,
                Some("fake") => ModelSetting::Fake,
                Some(path) => ModelSetting::File(PathBuf::from(path)),
            },
            index: args.index.unwrap_or(IndexSetting::Auto),
            durability: args.durability.unwrap_or(DurabilitySetting::Fsync),
            workers: ranged_count("workers", args.workers, processors().min(256), 1, 256)?,
            allowed_roots: canonical_roots(&args.allowed_roots.unwrap_or_default())?,
            backup_folder: args.backup_folder,
            image_bytes_max: ranged("image_mib_max", args.image_mib_max, 64, 1, 64)? * MIB,
            image_pixels_max: ranged("image_megapixels_max", args.image_megapixels_max, 100, 1, 1000)?
                * 1_000_000,
            decode_time_max: seconds("decode_seconds_max", args.decode_seconds_max, 10, 1, 600)?,
            inflight_bytes_max: ranged("inflight_mib_max", args.inflight_mib_max, 512, 64, 65_536)? * MIB,
            store_memory_bytes: ranged("store_memory_mib", args.store_memory_mib, 512, 0, 65_536)? * MIB,
            queue_images_max: ranged_count("queue_images_max", args.queue_images_max, 256, 1, 65_536)?,
            collections_max: ranged_count("collections_max", args.collections_max, 64, 1, 1000)?,
            clusterings_kept: ranged_count("clusterings_kept", args.clusterings_kept, 10, 1, 1000)?,
            lease_time: seconds("lease_seconds", args.lease_seconds, 600, 10, 86_400)?,
            request_time_max: seconds("request_seconds_max", args.request_seconds_max, 310, 1, 3600)?,
            drain_time_max: seconds("drain_seconds_max", args.drain_seconds_max, 30, 0, 600)?,
        })
    }
}

fn canonical_roots(roots: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let canonical = |path: &PathBuf| {
        std::fs::canonicalize(path).map_err(|source| ConfigError::Root { path: path.clone(), source })
    };
    roots.iter().map(canonical).collect()
}

impl Config {
    /// The defaults, for a daemon that lives as long as one command: a free loopback port and a folder of its own.
    /// The environment is honoured where it says where things are, not where it says how much.
    pub fn temporary(data: &Path) -> Self {
        let args = ServeArgs {
            data: Some(data.to_path_buf()),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            onnxruntime: std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from),
            model: std::env::var("CULLD_MODEL").ok(),
            ..ServeArgs::default()
        };
        // Defaults are in range by construction; `settings_have_valid_defaults` in the tests holds it so.
        args.resolve().unwrap_or_else(|error| unreachable!("default settings: {error}"))
    }

    /// Every setting with its value in force.
    pub fn describe(&self) -> Vec<Setting> {
        let roots =
            self.allowed_roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(":");
        let values: [(&'static str, String); 18] = [
            ("data", self.data.display().to_string()),
            ("listen", self.listen.to_string()),
            ("onnxruntime", self.onnxruntime.as_ref().map_or("searched".into(), |p| p.display().to_string())),
            (
                "model",
                match &self.model {
                    ModelSetting::BuiltIn => "built-in".into(),
                    ModelSetting::Fake => "fake".into(),
                    ModelSetting::File(path) => path.display().to_string(),
                },
            ),
            ("index", format!("{:?}", self.index).to_lowercase()),
            ("durability", format!("{:?}", self.durability).to_lowercase()),
            ("workers", self.workers.to_string()),
            ("allowed_roots", roots),
            ("backup_folder", self.backup_folder.as_ref().map_or("none".into(), |p| p.display().to_string())),
            ("image_mib_max", (self.image_bytes_max / MIB).to_string()),
            ("image_megapixels_max", (self.image_pixels_max / 1_000_000).to_string()),
            ("decode_seconds_max", self.decode_time_max.as_secs().to_string()),
            ("inflight_mib_max", (self.inflight_bytes_max / MIB).to_string()),
            ("store_memory_mib", (self.store_memory_bytes / MIB).to_string()),
            ("queue_images_max", self.queue_images_max.to_string()),
            ("collections_max", self.collections_max.to_string()),
            ("clusterings_kept", self.clusterings_kept.to_string()),
            ("request_seconds_max", self.request_time_max.as_secs().to_string()),
        ];
        let lease = ("lease_seconds", self.lease_time.as_secs().to_string());
        let drain = ("drain_seconds_max", self.drain_time_max.as_secs().to_string());
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        let describe = |(name, value): (&'static str, String)| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name);
            let env = argument.and_then(clap::Arg::get_env).map(|env| env.to_string_lossy().into_owned());
            let help = argument.and_then(clap::Arg::get_help).map(ToString::to_string);
            Setting { name, value, env: env.unwrap_or_default(), help: help.unwrap_or_default() }
        };
        let log = ("log_format", format!("{:?}", self.log_format).to_lowercase());
        let traces = ("otlp_endpoint", self.otlp_endpoint.clone().unwrap_or_else(|| "none".to_owned()));
        let more = [lease, drain, log, traces].into_iter().chain(access::describe(&self.access, &self.quota));
        values.into_iter().chain(more).map(describe).collect()
    }
}
