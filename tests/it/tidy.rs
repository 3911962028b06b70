//! What the layering promises, read off the sources: each outside crate has one home, dependencies point one way, and
//! what nobody wants is not there.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;
const PURE: &[&str] =
    &["portable.rs", "decide.rs", "decide/", "review.rs", "review/", "store/codec.rs", "store/audit.rs"];

/// A source file: its path below `src/`, and its text without comments and inline tests.
struct Source {
    path: String,
    lines: usize,
    code: String,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What npm puts there is nobody's here.
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let rust = found.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        Source {
            path: path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(),
            lines: text.lines().count(),
            code: code.collect::<Vec<_>>().join("\n"),
        }
    })
    .collect()
}

impl Source {
    /// Whether it is one of these files, or below one of these folders (which end in a slash).
    fn is_in(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| {
            let below = home.ends_with('/') && self.path.starts_with(home);
            below || self.path == *home
        })
    }

    /// Whether a path starts with this name: `name::`, not as the end of a longer name.
    fn names(&self, name: &str) -> bool {
        let path = format!("{name}::");
        self.code.match_indices(&path).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    }
}

#[test]
fn every_outside_crate_has_one_home() {
    let wire: &[&str] = &["grpc.rs", "grpc/", "cli.rs", "cli/", "lib.rs"];
    let homes: [(&str, &[&str]); 30] = [
        ("image", &["decode.rs", "decode/"]),
        ("jpeg_decoder", &["decode.rs", "decode/"]),
        ("fast_image_resize", &["decode.rs", "decode/", "embed/preprocess.rs"]),
        ("ort", &["embed.rs", "embed/"]),
        ("sled", &["store.rs", "store/"]),
        ("hnsw_rs", &["index.rs", "index/"]),
        ("linfa", &["cluster.rs", "cluster/"]),
        ("linfa_clustering", &["cluster.rs", "cluster/"]),
        ("linfa_nn", &["cluster.rs", "cluster/"]),
        ("ndarray016", &["cluster.rs", "cluster/"]),
        ("tonic", wire),
        ("tonic_health", wire),
        ("tonic_reflection", wire),
        ("tonic_types", wire),
        ("tonic_web", &["grpc.rs"]),
        ("tower_layer", &["grpc.rs", "grpc/"]),
        ("axum", &["web.rs", "web/"]),
        ("prost", wire),
        ("prost_types", wire),
        ("plotters", &["plot.rs"]),
        ("cap_std", &["engine/roots.rs", "engine/import.rs"]),
        ("prometheus_client", &["metrics.rs"]),
        ("opentelemetry", &["telemetry.rs"]),
        ("opentelemetry_sdk", &["telemetry.rs"]),
        ("opentelemetry_otlp", &["telemetry.rs"]),
        ("tracing_opentelemetry", &["telemetry.rs"]),
        ("tracing_subscriber", &["telemetry.rs"]),
        ("rustls_pki_types", &["access/", "grpc/tls.rs"]),
        ("http_body", &["grpc/"]),
        ("tar", &["portable.rs"]),
    ];
    let sources = sources();
    for (name, homes) in homes {
        let mut used = false;
        for source in sources.iter().filter(|source| source.names(name)) {
            assert!(source.is_in(homes), "{name} is used in src/{}, its home is {homes:?}", source.path);
            used = true;
        }
        assert!(used || name == "linfa", "{name} is used nowhere");
    }
}

#[test]
fn dependencies_point_one_way() {
    // Modules in the order of the pipeline: each knows only those before it.
    let order: [(&str, &[&str]); 21] = [
        ("portable", &[]),
        ("types", &[]),
        ("file_uri", &[]),
        ("config", &[]),
        ("product", &[]),
        ("decode", &["types"]),
        ("embed", &["types", "decode", "setup"]),
        ("failpoint", &[]),
        ("store", &["types", "failpoint"]),
        ("index", &["types", "product"]),
        ("cluster", &["types", "product"]),
        ("decide", &["types"]),
        ("review", &["types", "product"]),
        ("map", &["types", "product", "review"]),
        (
            "engine",
            &[
                "types",
                "file_uri",
                "failpoint",
                "product",
                "decode",
                "embed",
                "store",
                "index",
                "cluster",
                "decide",
                "review",
                "map",
                "portable",
            ],
        ),
        ("access", &["config"]),
        ("metrics", &["engine"]),
        ("telemetry", &["config"]),
        ("web", &["types", "config", "decode", "engine", "access", "metrics"]),
        (
            "grpc",
            &[
                "types", "config", "decode", "embed", "cluster", "decide", "engine", "access", "metrics",
                "proto", "web",
            ],
        ),
        ("app", &["types", "config", "decode", "embed", "store", "index", "engine", "access", "grpc"]),
    ];
    let modules = ["types", "file_uri", "config", "product", "decode", "setup", "embed", "store", "index"];
    let modules = [
        &modules[..],
        &[
            "cluster", "decide", "review", "map", "engine", "access", "metrics", "web", "grpc", "app", "cli",
            "plot",
        ],
        &["telemetry", "proto"],
    ];
    let modules = modules.concat();
    for source in sources() {
        let module = source.path.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = order.iter().find(|(name, _)| *name == module) else { continue };
        for other in modules.iter().filter(|other| **other != module && !allowed.contains(other)) {
            let path = format!("crate::{other}");
            let named = source.code.match_indices(&path).any(|(at, _)| {
                let after = source.code[at + path.len()..].chars().next();
                !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            assert!(!named, "src/{} names {path}", source.path);
        }
    }
}

#[test]
fn what_is_pure_touches_no_disk_clock_or_network() {
    for source in sources().iter().filter(|source| source.is_in(PURE)) {
        for forbidden in ["std::fs", "std::net", "std::env", "std::time", "std::thread", "tokio"] {
            assert!(!source.code.contains(forbidden), "src/{} uses {forbidden}", source.path);
        }
    }
}

#[test]
fn nothing_of_what_nobody_wants() {
    let forbidden = [
        ".unwrap()",
        "println!(",
        "print!(",
        "dbg!(",
        "todo!(",
        "unimplemented!(",
        "process::exit",
        "mod.rs",
    ];
    for source in sources() {
        assert!(source.lines <= LINES_MAX, "src/{} has {} lines", source.path, source.lines);
        assert!(!source.path.ends_with("mod.rs"), "src/{}: foo.rs and foo/, not foo/mod.rs", source.path);
        for forbidden in forbidden {
            // `eprintln!` ends like `println!`; neither is wanted.
            assert!(!source.code.contains(forbidden), "src/{} has {forbidden}", source.path);
        }
    }
}

/// Paths of one machine, and the names of what it is reached through, have no place in what others build.
#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut found = Vec::new();
    for folder in ["src", "proto", "tests", "clients", ".ci"] {
        files(&root().join(folder), &mut found);
    }
    let single = ["Cargo.toml", "Cargo.lock", "build.rs", "README.md", ".gitignore", "models/make_model.py"];
    found.extend(single.map(|name| root().join(name)));
    // Spelled in parts, so that this file passes.
    let forbidden = [["/ro", "ot/"], ["/wo", "rk/"], ["/ho", "me/"], ["/Us", "ers/"], ["artifac", "tory"]];
    for path in found {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for forbidden in forbidden.map(|parts| parts.concat()) {
            let line = text.lines().find(|line| line.contains(&forbidden));
            assert_eq!(line, None, "{} knows {forbidden}", path.display());
        }
    }
}

/// The modules of the crate are listed in the order of the pipeline, which is how it is read.
#[test]
fn modules_are_listed_as_data_flows() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let at = |name: &str| listed.iter().position(|module| *module == name).unwrap();
    let flow = [
        "types", "decode", "embed", "store", "index", "cluster", "decide", "review", "engine", "web", "grpc",
        "app",
    ];
    assert!(flow.map(at).is_sorted(), "{listed:?}");
}

/// Decoders of strangers' bytes are Rust all the way down, so that none needs a process of its own.
#[test]
fn decoders_are_rust_alone() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let name = |package: &toml::Value| package["name"].as_str().unwrap().to_owned();
    let mut open = vec!["image".to_owned(), "jpeg-decoder".to_owned(), "fast_image_resize".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(next) = open.pop() {
        if !seen.insert(next.clone()) {
            continue;
        }
        let native =
            next.ends_with("-sys") || ["cc", "cmake", "bindgen", "pkg-config", "nasm-rs"].contains(&&*next);
        assert!(!native, "{next} builds or links what is no Rust, below a decoder");
        for package in packages.iter().filter(|package| name(package) == next) {
            let needs = package.get("dependencies").and_then(toml::Value::as_array);
            let needs = needs.into_iter().flatten().filter_map(toml::Value::as_str);
            open.extend(needs.map(|need| need.split(' ').next().unwrap_or_default().to_owned()));
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
