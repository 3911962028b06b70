//! culld against tools that others made: scikit-learn, a generic gRPC client, an older processor, another model.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::is_on;
use crate::support::{self, TestDaemon, shared_data};

pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command and answers what it printed; its failure is the test's.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    eprintln!("{stdout}");
    stdout.into_owned()
}

/// The interpreter with the pinned packages, which is made by the first who asks; the others wait.
pub(crate) fn python() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || PathBuf::from(run(&mut Command::new(project("tests/python/venv.sh"))).trim());
    MADE.get_or_init(make).clone()
}

#[test]
fn clusterings_agree_with_scikit_learn() {
    if !is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    let python = python();
    for set in ["docs", "houses"] {
        let mut lane = Command::new(&python);
        lane.arg(project("tests/python/parity_lane.py")).arg(env!("CARGO_BIN_EXE_culld"));
        lane.arg(data.join(set).join("images")).arg(data.join(set).join("labels.csv"));
        eprintln!("{set}:");
        run(&mut lane);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_nothing_but_reflection_does_the_whole_job() {
    if !is_on() {
        return;
    }
    let daemon = TestDaemon::start().await;
    let folder = tempfile::tempdir().unwrap();
    for (key, bytes) in support::groups(0..3, 8) {
        std::fs::write(folder.path().join(key.replace('/', "-")), bytes).unwrap();
    }
    let mut client = Command::new(python());
    client
        .arg(project("tests/python/reflection_client.py"))
        .arg(daemon.address().to_string())
        .arg(folder.path());
    tokio::task::spawn_blocking(move || run(&mut client)).await.unwrap();
    daemon.stop().await;
}

/// The embeddings that `culld export` writes for a folder of pictures, with a daemon started by `command`. One worker
/// adds them in the order in which they were sent.
fn exported(command: &[&str], images: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (program, arguments) = command.split_first().unwrap();
    let mut serve = Command::new(program);
    serve.args(arguments).args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--json", "--data"]);
    let mut daemon = serve.arg(folder.path().join("data")).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let ready = lines.map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let address = ready["address"].as_str().unwrap();
    let npy = folder.path().join("embeddings.npy");
    let client = || {
        let mut client = Command::new(env!("CARGO_BIN_EXE_culld"));
        client.args(["--server", address]);
        client
    };
    run(client().arg("add").arg(images));
    run(client().args(["export", "--embeddings"]).arg(&npy));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    std::fs::read(npy).unwrap()
}

#[test]
fn an_older_processor_gives_the_same_bits() {
    if !is_on() {
        return;
    }
    if !cfg!(target_arch = "x86_64") || Command::new("qemu-x86_64").arg("--version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "CI needs qemu-x86_64: Debian's qemu-user");
        eprintln!("skipped: no qemu-x86_64 here (Debian's qemu-user)");
        return;
    }
    let Some(data) = shared_data() else { return };
    let pictures = tempfile::tempdir().unwrap();
    for set in ["zoo", "docs", "houses", "flowers128"] {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join(set).join("images"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths.into_iter().step_by(97).take(3) {
            std::fs::copy(&path, pictures.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let binary = env!("CARGO_BIN_EXE_culld");
    let native = exported(&[binary], pictures.path());
    let haswell = exported(&["qemu-x86_64", "-cpu", "Haswell", binary], pictures.path());
    assert!(native.len() >= 12 * 1280 * 4, "{} bytes", native.len());
    assert!(native == haswell, "the embeddings differ");
}

#[test]
fn another_model_is_made_and_used() {
    if !is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("lite1.onnx");
    let mut make = Command::new("python3");
    make.arg(project("models/make_model.py")).arg("--work").arg(folder.path().join("work"));
    run(make.args(["--variant", "lite1", "--fp32", "--out"]).arg(&model));
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_culld"));
    simulate.env("CULLD_MODEL", &model).args([
        "simulate",
        "--keep",
        "frontal",
        "--judgements",
        "20",
        "--json",
    ]);
    simulate
        .arg("--labels")
        .arg(data.join("houses/labels.csv"))
        .arg("--images")
        .arg(data.join("houses/images"));
    let report = run(&mut simulate);
    let report: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert!(
        report["at"].as_array().unwrap().last().unwrap()["quality_metric"].as_f64().unwrap() >= 0.95,
        "{report}"
    );
}
