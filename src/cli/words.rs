//! How values of the API are written for people and in CSV and JSON.

use std::time::Duration;

use crate::proto::optics_parameters::Extraction;
use crate::proto::parameters::Algorithm;
use crate::proto::{
    AddCause, DecisionKind, DecisionReason, Defect, EventKind, KMeansStart, LineageChange, Parameters,
    RedFlag, RemovalReason, Side,
};

/// An enum's constant without its prefix, in lower case with `-`, such as `seen-label`.
fn word(constant: &str, prefix: &str) -> String {
    constant.strip_prefix(prefix).unwrap_or(constant).to_lowercase().replace('_', "-")
}

/// "keep", "discard" or "review".
pub(super) fn decision(value: DecisionKind) -> String {
    word(value.as_str_name(), "DECISION_KIND_")
}

/// "appeared", "vanished", "merged" or "split".
pub(super) fn lineage_change(value: LineageChange) -> String {
    word(value.as_str_name(), "LINEAGE_CHANGE_")
}

/// "keep" or "discard".
pub(super) fn side(value: Side) -> String {
    word(value.as_str_name(), "SIDE_")
}

/// Such as "verdict".
pub(super) fn event_kind(value: EventKind) -> String {
    word(value.as_str_name(), "EVENT_KIND_")
}

/// "deleted" or "not-selected".
pub(super) fn removal(value: RemovalReason) -> String {
    word(value.as_str_name(), "REMOVAL_REASON_")
}

/// Such as "seen-label".
pub(super) fn reason(value: DecisionReason) -> String {
    word(value.as_str_name(), "DECISION_REASON_")
}

/// Such as "low-entropy".
pub(super) fn defect(value: Defect) -> String {
    word(value.as_str_name(), "DEFECT_")
}

/// Such as "unsupported-format".
pub(super) fn cause(value: AddCause) -> String {
    word(value.as_str_name(), "ADD_CAUSE_")
}

/// Such as "no-structure".
pub(super) fn red_flag(value: RedFlag) -> String {
    word(value.as_str_name(), "RED_FLAG_")
}

/// What a red flag means for the person who sees it.
pub(super) fn red_flag_advice(value: RedFlag) -> &'static str {
    match value {
        RedFlag::Unspecified => "something is unusual",
        RedFlag::NoStructure => "the data shows no groups",
        RedFlag::AllNoise => {
            "nearly every image is noise: the images have little in common, or eps is too small"
        }
        RedFlag::OneGiantCluster => {
            "one cluster holds nearly everything: look at its sheet before judging it as a whole"
        }
        RedFlag::NearlyAllCore => "nearly every image is a core image: eps may be too large",
        RedFlag::Chaining => "a cluster is far wider than its neighbourhoods: it may be a chain of several",
    }
}

/// An algorithm with its parameters, such as `dbscan eps=0.31 min-points=5`.
pub(super) fn parameters(parameters: Option<&Parameters>) -> String {
    let Some(algorithm) = parameters.and_then(|parameters| parameters.algorithm.as_ref()) else {
        return "auto".into();
    };
    let decimal = |value: Option<f64>| value.map(|value| format!("{value:.4}"));
    let count = |value: Option<u32>| value.map(|value| value.to_string());
    let (name, values) = match algorithm {
        Algorithm::Auto(_) => ("auto", vec![]),
        Algorithm::KMeans(p) => (
            "k-means",
            vec![
                ("k", count(p.k)),
                ("max-iterations", count(p.max_iterations)),
                ("restarts", count(p.restarts)),
                ("start", start(p.start())),
            ],
        ),
        Algorithm::KMedoids(p) => ("k-medoids", vec![("k", count(p.k))]),
        Algorithm::Dbscan(p) => {
            ("dbscan", vec![("eps", decimal(p.eps)), ("min-points", count(p.min_points))])
        }
        Algorithm::Optics(p) => {
            let extraction = match p.extraction {
                None => ("xi", None),
                Some(Extraction::Xi(xi)) => ("xi", decimal(Some(xi))),
                Some(Extraction::Eps(eps)) => ("eps", decimal(Some(eps))),
            };
            ("optics", vec![("min-points", count(p.min_points)), ("max-eps", decimal(p.max_eps)), extraction])
        }
        Algorithm::Birch(p) => (
            "birch",
            vec![("threshold", decimal(p.threshold)), ("branching", count(p.branching)), ("k", count(p.k))],
        ),
        Algorithm::Hdbscan(p) => (
            "hdbscan",
            vec![("min-cluster-size", count(p.min_cluster_size)), ("min-samples", count(p.min_samples))],
        ),
    };
    values
        .into_iter()
        .filter_map(|(flag, value)| Some(format!(" {flag}={}", value?)))
        .fold(name.to_string(), |text, value| text + &value)
}

fn start(start: KMeansStart) -> Option<String> {
    match start {
        KMeansStart::Unspecified => None,
        KMeansStart::Ward => Some("ward".to_owned()),
        KMeansStart::PlusPlus => Some("plus-plus".to_owned()),
    }
}

/// A time as RFC 3339, empty where there is none.
pub(super) fn time(value: Option<&prost_types::Timestamp>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Seconds as a person reads them: `0.42 s`, `3 min 5 s`.
pub(super) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{} min {:.0} s", (seconds / 60.0) as u64, seconds % 60.0)
    }
}

/// Bytes as a person reads them.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    if name == "B" { format!("{bytes} B") } else { format!("{value:.1} {name}") }
}

/// A share as per cent; 0 of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", share(part, whole) * 100.0)
}

/// The share `part / whole`, in [0, 1]; 0 of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A number for JSON: whole numbers without a decimal point.
pub(super) fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { (value as i64).into() } else { value.into() }
}

/// Text that can't move a terminal's cursor: control characters (names of files may hold any) are escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, character| {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
        safe
    })
}

/// Text of at most `max` characters, its middle left out where it is longer.
pub(super) fn shortened(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_string();
    }
    let head: String = text.chars().take(max / 3).collect();
    let tail: String = text.chars().skip(count - (max - max / 3 - 1)).collect();
    format!("{head}…{tail}")
}
