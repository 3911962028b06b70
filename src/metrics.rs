//! What an operator's eye is on, as Prometheus' text [only user of `prometheus_client`]. Counters are kept as things
//! happen; what is a state is looked at when it is asked for.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::engine::Engine;

/// The type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What each text ends with.
const END: &str = "# EOF\n";
/// The shortest latency told apart, in seconds; each bucket is four times the one before, up to about 65 s.
const LATENCY_MIN: f64 = 0.001;
const LATENCY_BUCKETS: u16 = 9;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CollectionLabel {
    collection: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabels {
    collection: String,
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenerationLabels {
    collection: String,
    algorithm: String,
    generation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: String,
    space: String,
}

/// Makes the histogram of a method.
#[derive(Debug, Clone)]
struct Latencies;

impl MetricConstructor<Histogram> for Latencies {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(LATENCY_MIN, 4.0, LATENCY_BUCKETS))
    }
}

/// What is counted as it happens; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<CallLabels, Counter>,
    latencies: Family<MethodLabel, Histogram, Latencies>,
    under_way: Family<MethodLabel, Gauge>,
    outcomes: Family<OutcomeLabel, Counter>,
}

/// What is looked at when it is asked for and belongs to no collection.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Bytes of images in flight.
    pub inflight_bytes: u64,
    /// Bytes of images in flight at most.
    pub inflight_bytes_max: u64,
    /// Images that may wait for a worker.
    pub queue_images_max: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            latencies: Family::new_with_constructor(Latencies),
            under_way: Family::default(),
            outcomes: Family::default(),
        }
    }
}

impl Metrics {
    /// A call begins.
    pub fn begin(&self, method: &str) {
        self.under_way.get_or_create(&MethodLabel { method: method.to_owned() }).inc();
    }

    /// A call ends with a code, such as `OK`.
    pub fn end(&self, method: &str, code: &str, took: Duration) {
        let method = method.to_owned();
        self.calls.get_or_create(&CallLabels { method: method.clone(), code: code.to_owned() }).inc();
        self.latencies.get_or_create(&MethodLabel { method: method.clone() }).observe(took.as_secs_f64());
        self.under_way.get_or_create(&MethodLabel { method }).dec();
    }

    /// An image has its outcome, such as `added`.
    pub fn outcome(&self, outcome: &str) {
        self.outcomes.get_or_create(&OutcomeLabel { outcome: outcome.to_owned() }).inc();
    }

    /// Everything, as text. Blocks: collections are looked at.
    pub fn text(&self, engine: &Engine, flow: Flow) -> String {
        let mut kept = Registry::with_prefix("culld");
        kept.register("calls", "Calls that ended, by method and code", self.calls.clone());
        let latencies = self.latencies.clone();
        kept.register_with_unit("call", "Time of calls, streams to their end", Unit::Seconds, latencies);
        kept.register("calls_under_way", "Calls that have not ended", self.under_way.clone());
        kept.register(
            "images_handled",
            "Images that were added or refused, by outcome",
            self.outcomes.clone(),
        );
        let mut looked = Registry::with_prefix("culld");
        whole(&mut looked, engine, flow);
        collections(&mut looked, engine);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _: fmt::Result = encode(&mut text, &kept);
        text.truncate(text.len() - if text.ends_with(END) { END.len() } else { 0 });
        let _: fmt::Result = encode(&mut text, &looked);
        text
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(value.try_into().unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn whole(registry: &mut Registry, engine: &Engine, flow: Flow) {
    gauge(registry, "queue_images", "Images that wait for a worker", engine.waiting_images() as u64);
    gauge(registry, "queue_images_max", "Images that may wait for a worker", flow.queue_images_max);
    gauge(registry, "inflight_bytes", "Bytes of images in flight", flow.inflight_bytes);
    gauge(registry, "inflight_bytes_max", "Bytes of images in flight at most", flow.inflight_bytes_max);
    let running = engine.operations().list(|_| true, u64::MAX, usize::MAX);
    let running = running.iter().filter(|operation| operation.result.is_none()).count();
    gauge(registry, "operations_running", "Operations that have not ended", running as u64);
    if let Ok(bytes) = engine.disk_bytes() {
        gauge(registry, "disk_bytes", "Bytes of the data folder's files", bytes);
    }
    if let Some(bytes) = resident_bytes() {
        gauge(registry, "resident_memory_bytes", "Memory of the process", bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge(
            registry,
            "open_files",
            "Files and connections that the process has open",
            files.count() as u64,
        );
    }
    let build: Family<BuildLabels, Gauge> = Family::default();
    let space = engine.space().id();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION").to_owned(), space }).set(1);
    registry.register("build_info", "Version, and the embedding space of images added now", build);
}

fn collections(registry: &mut Registry, engine: &Engine) {
    let images: Family<CollectionLabel, Gauge> = Family::default();
    let (sources, generation, vectors) = (images_like(), images_like(), images_like());
    let (judgements, events, stale) = (images_like(), images_like(), images_like());
    let (labelled, decided): (Family<SideLabels, Gauge>, Family<SideLabels, Gauge>) = Default::default();
    let recall: Family<GenerationLabels, Gauge<f64, std::sync::atomic::AtomicU64>> = Family::default();
    for collection in engine.collections() {
        let (stats, name) = (collection.stats(), collection.name().to_owned());
        let label = CollectionLabel { collection: name.clone() };
        let set = |family: &Family<CollectionLabel, Gauge>, value: u64| {
            family.get_or_create(&label).set(value.try_into().unwrap_or(i64::MAX));
        };
        set(&images, stats.images);
        set(&sources, stats.sources);
        set(&generation, stats.generation.0);
        set(&vectors, stats.vector_bytes);
        set(&judgements, stats.judgements);
        set(&events, stats.events);
        let side = |family: &Family<SideLabels, Gauge>, kind: &str, value: u64| {
            let labels = SideLabels { collection: name.clone(), kind: kind.to_owned() };
            family.get_or_create(&labels).set(value.try_into().unwrap_or(i64::MAX));
        };
        ["keep", "discard"].iter().zip(stats.labelled).for_each(|(kind, value)| side(&labelled, kind, value));
        let kinds = ["keep", "discard", "review"];
        kinds.iter().zip(stats.decided).for_each(|(kind, value)| side(&decided, kind, value));
        if let Some(head) = stats.active {
            set(&stale, stats.generation.0.saturating_sub(head.generation.0));
            if let Some(found) = head.neighbour_recall {
                let labels = GenerationLabels {
                    collection: name.clone(),
                    algorithm: head.algorithm.clone(),
                    generation: head.generation.0.to_string(),
                };
                recall.get_or_create(&labels).set(f64::from(found));
            }
        }
    }
    registry.register("images", "Images stored", images);
    registry.register("sources", "Sources noted", sources);
    registry.register("generation", "The generation of the data", generation);
    registry.register("vector_bytes", "Memory of embeddings", vectors);
    registry.register("judgements", "Review items answered", judgements);
    registry.register("log_events", "Events in the log", events);
    registry.register("labelled_images", "Images with a label, by side", labelled);
    registry.register("decided_images", "Images by decision", decided);
    let help = "Generations since the active clustering was computed";
    registry.register("clustering_age_generations", help, stale);
    let help = "Share of true neighbours that the active clustering was computed on, by its generation";
    registry.register("neighbour_recall", help, recall);
}

fn images_like() -> Family<CollectionLabel, Gauge> {
    Family::default()
}

/// The memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
