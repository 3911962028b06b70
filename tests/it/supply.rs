//! What culld is built from: the lists of deny.toml against what cargo resolves, the bill of materials, and the threats
//! that name their tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn metadata() -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root());
    let found = command.output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    serde_json::from_slice(&found.stdout).unwrap()
}

/// Whether an SPDX expression can be met by licences of the list.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed)
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1;
        return met;
    }
    let mut name = word.to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words[*at + 1]);
        *at += 2;
    }
    allowed.contains(&name)
}

#[test]
fn licence_expressions_are_read() {
    let allowed = BTreeSet::from(["MIT", "Zlib", "A WITH B"].map(String::from));
    let cases = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
    ];
    let more = [
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(GPL-3.0 OR A) AND Zlib", false),
        ("A WITH B OR GPL-3.0", true),
    ];
    for (expression, expected) in cases.into_iter().chain(more) {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn dependencies_are_of_the_lists() {
    let lists: toml::Table = fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let names = |value: &toml::Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let allowed = names(&lists["licenses"]["allow"]);
    let registries = names(&lists["sources"]["allow-registry"]);
    let banned: BTreeSet<String> = lists["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    let clarified: BTreeSet<String> = lists["licenses"]["clarify"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["crate"].as_str().unwrap().to_owned())
        .collect();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(name), "{name} is banned");
        match package["license"].as_str() {
            Some(licence) => assert!(is_allowed(licence, &allowed), "{name} is under {licence}"),
            None => assert!(clarified.contains(name), "{name} says nothing of its licence"),
        }
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(registries.contains(registry), "{name} comes from {source}");
        }
        for dependency in package["dependencies"].as_array().unwrap().iter().filter(|_| name == "culld") {
            assert_ne!(dependency["req"], "*", "{}", dependency["name"]);
        }
    }
}

#[test]
fn the_bill_of_materials_has_crates_model_and_runtime() {
    let script = root().join(".ci/sbom.py");
    let found = Command::new("python3").arg(script).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let bill: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["metadata"]["component"]["name"]),
        (&"CycloneDX".into(), &"culld".into())
    );
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<&str> = components.iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in ["sled", "tonic", "rustls", "ort", "onnxruntime", "efficientnet-lite0-int8.onnx"] {
        assert!(names.contains(name), "{name} is missing");
    }
    assert!(!names.contains("proptest"), "what only tests need is not in the binary");
    for component in components {
        let hash = component["hashes"][0]["content"].as_str().unwrap_or_default();
        assert_eq!(hash.len(), 64, "{component}");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_threat_names_a_test() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    rust_files(&root().join("tests/it"), &mut files);
    let code: Vec<String> = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 20);
    for row in rows {
        let test = row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
        // The attribute stands on the line before the function.
        let is_there = code.iter().any(|code| {
            let before =
                code.split(&format!("fn {test}()")).next().filter(|before| before.len() < code.len());
            before.is_some_and(|before| before.trim_end().trim_end_matches("async").trim_end().ends_with(']'))
        });
        assert!(is_there, "{test} is no test: {row}");
    }
}
