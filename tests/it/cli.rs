//! The real binary, as a person or a script runs it. The fake model (a colour grid) makes it fast.

mod duplicates;
mod follow;
mod names;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

const RED: [u8; 3] = [220, 30, 30];
const BLUE: [u8; 3] = [30, 30, 220];

fn culld() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
    for name in ["CULLD_SERVER", "CULLD_COLLECTION", "CULLD_DATA", "CULLD_CONFIG", "CULLD_LISTEN"] {
        command.env_remove(name);
    }
    command.env("CULLD_MODEL", "fake");
    command
}

/// What a run of the binary left.
struct Run(Output);

impl Run {
    fn of(mut command: Command) -> Self {
        Self(command.output().expect("the binary runs"))
    }

    /// Asserts the exit code.
    #[track_caller]
    fn code(self, expected: i32) -> Self {
        let text = String::from_utf8_lossy(&self.0.stderr).into_owned() + &self.stdout();
        assert_eq!(self.0.status.code(), Some(expected), "{text}");
        self
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The object on the last line.
    #[track_caller]
    fn json(&self) -> Value {
        let text = self.stdout();
        let line = text.lines().last().expect("a last line");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// A daemon over a folder of its own, killed in the end.
struct Daemon {
    child: Child,
    server: String,
    _data: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut command = culld();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--durability", "process", "--data"]);
        let mut child = command.arg(data.path()).stdout(Stdio::piped()).spawn().expect("the daemon starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address: Value = serde_json::from_str(&line).expect("its address");
        let server = address["address"].as_str().expect("its address").to_string();
        Self { child, server, _data: data }
    }

    /// A run of a client command, with `--json`.
    fn run<I: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Run {
        let mut command = culld();
        command.env("CULLD_SERVER", &self.server).args(arguments).arg("--json");
        Run::of(command)
    }

    fn add(&self, folder: &Path) -> Run {
        self.run(["add".as_ref(), folder.as_os_str()])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().expect("the daemon can be killed");
        self.child.wait().expect("the daemon ends");
    }
}

/// A small picture, near to others of its colour, and like none of another `shade`.
fn picture(path: &Path, [red, green, blue]: [u8; 3], shade: u8) {
    let picture =
        RgbImage::from_fn(24, 24, |x, y| Rgb([red, green + shade + (x % 3) as u8, blue + (y % 5) as u8]));
    // By content, for names that say nothing.
    picture.save_with_format(path, image::ImageFormat::Png).expect("a picture");
}

/// Six red and six blue pictures with their labels.
fn two_colours() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let images = folder.path().join("images");
    fs::create_dir_all(images.join("deep")).expect("a folder");
    let mut labels = String::from("file,class\n");
    for shade in 0..6 {
        picture(&images.join(format!("red-{shade}.png")), RED, shade);
        picture(&images.join(format!("deep/blue-{shade}.png")), BLUE, shade);
        // One by its whole key, the other by a name that is unique.
        labels.extend([format!("red-{shade}.png,red\n"), format!("blue-{shade}.png,blue\n")]);
    }
    fs::write(folder.path().join("labels.csv"), labels).expect("labels");
    (folder, images)
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a text file")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let run = |arguments: &[&str]| {
        let mut command = culld();
        command.args(arguments);
        Run::of(command)
    };
    let help = run(&["--help"]).code(0).stdout();
    for (code, word) in [(0, "done"), (1, "failed"), (2, "usage"), (3, "partly"), (4, "reached")] {
        assert!(
            help.lines().any(|line| line.contains(&format!("  {code}  ")) && line.contains(word)),
            "{code}"
        );
    }
    run(&["--version"]).code(0);
    run(&["no-such-command"]).code(2);
    run(&["keep"]).code(2);
    run(&["keep", "--cluster", "1", "--noise"]).code(2);
    run(&["config", "--workers", "0"]).code(2);
    run(&["config", "--json"]).code(0).json();
    let unreachable = run(&["stats", "--server", "http://127.0.0.1:1"]).code(4);
    assert!(unreachable.stderr().contains("culld serve"), "{}", unreachable.stderr());

    let daemon = Daemon::start();
    daemon.run(["keep", "--cluster", "99"]).code(1);
    daemon.run(["stats", "--collection", "nowhere"]).code(1);
    let (_folder, images) = two_colours();
    let add = ["add".as_ref(), "--collection".as_ref(), "nope".as_ref(), images.as_os_str()];
    let missing = daemon.run(add).code(1).stderr();
    assert!(missing.contains("there is no collection \"nope\""), "{missing}");
    assert!(!missing.contains("run it again"), "{missing}");
    daemon.run(["evaluate", "--labels", "/nowhere.csv", "--keep", "a"]).code(2);
}

/// Values out of range are wrong usage, whether this side knows the range or the daemon does.
#[test]
fn values_out_of_range_are_wrong_usage() {
    let (folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let check = |arguments: &[&str], named: &str| {
        let refused = daemon.run(arguments).code(2).stderr();
        assert!(refused.contains(named), "{arguments:?}: {refused}");
    };
    check(&["policy", "set", "--standing-margin", "7"], "standing_margin");
    check(&["policy", "set", "--standing-margin", "-1"], "standing_margin");
    check(&["recluster", "k-means", "--k", "0"], "parameters.k");
    check(&["recluster", "dbscan", "--eps=-1"], "parameters.eps");
    check(&["recluster", "dbscan", "--eps", "-1"], "parameters.eps");
    check(&["recluster", "dbscan", "--eps", "nan"], "parameters.eps");
    check(&["recluster", "dbscan", "--min-points", "5000"], "parameters.min_points");
    check(&["recluster", "birch", "--threshold", "-0.5"], "parameters.threshold");
    check(&["neighbours", "red-0.png", "-k", "5000"], "5000");
    check(&["neighbours", "red-0.png", "-k", "0"], "0");
    check(&["collections", "create", "A B"], "collection");
    let labels = folder.path().join("labels.csv");
    let labels = labels.to_str().unwrap();
    for rate in [&["--rate-per-hour=-3"][..], &["--rate-per-hour", "-3"]] {
        check(&[&["evaluate", "--labels", labels, "--keep", "red"], rate].concat(), "rate_per_hour");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let help = |arguments: &[&str]| {
        let mut command = culld();
        command.args(arguments).arg("--help");
        Run::of(command).code(0).stdout()
    };
    let top = help(&[]);
    let commands: Vec<&str> = top
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        assert!(help(&[command]).contains("Example: culld"), "{command}");
    }
}

#[test]
fn a_broken_file_is_an_outcome() {
    let (_folder, images) = two_colours();
    fs::write(images.join("broken.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    fs::write(images.join("empty.jpg"), b"").unwrap();
    fs::write(images.join("page.jpg"), b"<html></html>").unwrap();
    fs::write(images.join(".hidden.png"), b"").unwrap();
    fs::copy(images.join("red-0.png"), images.join("copy.png")).unwrap();
    let daemon = Daemon::start();
    let summary = daemon.add(&images).code(3).json();
    let count = |name: &str| summary[name].as_u64();
    assert_eq!(count("images"), Some(16));
    assert_eq!(count("added"), Some(12));
    assert_eq!(count("already_present"), Some(1));
    assert_eq!(count("rejected"), Some(3));
    assert_eq!(count("failed"), Some(0));
    assert_eq!(summary["causes"]["empty"], 1);
    assert_eq!(daemon.run(["stats"]).code(0).json()["images"], 12);
    let growth = daemon.run(["growth"]).code(0).json();
    assert_eq!(growth["points"].as_array().unwrap().last().unwrap()["images"], 12);

    let again = daemon.add(&images).code(3).json();
    assert_eq!(again["already_present"], 13);
}

#[test]
fn verdicts_become_decisions() {
    let (folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let clustering = daemon.run(["recluster", "k-means", "--k", "2", "--seed", "1"]).code(0).json();
    assert_eq!(clustering["clusters"], 2);
    let clusters = daemon.run(["clusters"]).code(0).json();
    let ids: Vec<String> = clusters["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["cluster_id"].to_string())
        .collect();
    let red = daemon.run(["explain", "red-0.png"]).code(0).json()["evidence"]["cluster_id"].to_string();
    let (kept, discarded): (Vec<String>, Vec<String>) = ids.into_iter().partition(|id| *id == red);
    assert_eq!(daemon.run(["keep", "--cluster", &kept[0]]).code(0).json()["verdicts"][0]["labelled"], 6);
    daemon.run(["discard", "--cluster", &discarded[0], "--note", "blue"]).code(0);

    let list = folder.path().join("decisions.csv");
    daemon.run(["decisions".as_ref(), "--csv".as_ref(), list.as_os_str()]).code(0);
    let rows = text(&list);
    assert_eq!(rows.lines().count(), 13);
    for row in rows.lines().skip(1) {
        assert_eq!(row.contains(",keep,keep,"), row.contains(",red-"), "{row}");
    }
    let listed = daemon.run(["decisions", "--decision", "discard"]).code(0).json();
    assert_eq!(listed["counts"]["images"], 6);
    assert_eq!(listed["decisions"].as_array().map(Vec::len), Some(6));

    let labels = folder.path().join("labels.csv");
    let evaluate =
        ["evaluate".as_ref(), "--keep".as_ref(), "red".as_ref(), "--labels".as_ref(), labels.as_os_str()];
    let figures = daemon.run(evaluate).code(0).json();
    assert_eq!(figures["true_positive"], 6);
    assert_eq!(figures["true_negative"], 6);
    assert_eq!(figures["quality_metric"], 1.0);
    assert_eq!(figures["savings"], serde_json::json!([5, 185, 1985, 19985]));
    assert_eq!(figures["cost"], serde_json::json!({"judgements": 2, "seconds": 20, "pln": 0.5}));
    assert_eq!(figures["interval"].as_array().map(Vec::len), Some(2));
    assert_eq!(figures["unknown"], 0);
}

#[test]
fn collections_policies_and_operations_are_minded() {
    let (_folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.run(["collections", "create", "winter"]).code(0);
    daemon.run(["collections", "create", "winter"]).code(1);
    daemon.run(["add".as_ref(), "--collection".as_ref(), "winter".as_ref(), images.as_os_str()]).code(0);
    let collections = daemon.run(["collections"]).code(0).json();
    let names: Vec<&str> =
        collections["collections"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["default", "winter"]);
    assert_eq!(daemon.run(["collections", "delete", "winter"]).code(0).json()["images"], 12);

    assert_eq!(daemon.run(["policy"]).code(0).json()["version"], 1);
    let policy = daemon.run(["policy", "set", "--standing-margin", "0.08"]).code(0).json();
    assert_eq!((policy["version"].as_u64(), policy["standing_margin"].as_f64()), (Some(2), Some(0.08)));

    daemon.add(&images).code(0);
    let operation =
        daemon.run(["recluster", "--no-wait"]).code(0).json()["name"].as_str().unwrap().to_string();
    assert_eq!(daemon.run(["operations", "wait", &operation]).code(0).json()["done"], true);
    assert_eq!(daemon.run(["operations"]).code(0).json()["operations"].as_array().map(Vec::len), Some(1));
    daemon.run(["recluster", "k-means", "--k", "3", "--keep-active"]).code(0);
    assert_eq!(daemon.run(["clusterings"]).code(0).json()["clusterings"].as_array().map(Vec::len), Some(2));
    daemon.run(["clusterings", "activate", "2"]).code(0);
    assert_eq!(daemon.run(["clusterings", "show"]).code(0).json()["clustering_id"], 2);
}

#[test]
fn apply_never_overwrites_and_moves_only_what_it_knows() {
    let (folder, images) = two_colours();
    let sorted = folder.path().join("sorted");
    fs::copy(images.join("red-0.png"), images.join("deep/red-0.png")).unwrap();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    daemon.run(["keep", "--image", "red-0.png"]).code(0);
    for shade in 1..6 {
        daemon.run(["discard", "--image", &format!("red-{shade}.png")]).code(0);
    }
    let apply = |flags: &[&str]| {
        let mut arguments = vec!["apply".as_ref(), "--to".as_ref(), sorted.as_os_str()];
        arguments.extend(flags.iter().map(std::ffi::OsStr::new));
        daemon.run(arguments)
    };
    let dry = apply(&["--move"]).code(0).json();
    assert_eq!((dry["done"].as_u64(), dry["folders"]["keep"].as_u64()), (Some(13), Some(2)));
    assert!(!sorted.exists(), "a dry run makes nothing");

    fs::create_dir_all(sorted.join("keep")).unwrap();
    fs::write(sorted.join("keep/red-0.png"), "mine").unwrap();
    assert_eq!(apply(&["--copy", "--really"]).code(0).json()["done"], 13);
    assert_eq!(names_in(&sorted.join("keep")), ["red-0-2.png", "red-0-3.png", "red-0.png"]);
    assert_eq!(text(sorted.join("keep/red-0.png")), "mine");
    assert_eq!(
        fs::read(sorted.join("keep/red-0-2.png")).unwrap(),
        fs::read(images.join("red-0.png")).unwrap()
    );

    fs::write(images.join("red-1.png"), "something else").unwrap();
    fs::remove_file(images.join("red-2.png")).unwrap();
    let moved = apply(&["--move", "--by", "cluster", "--really"]).code(3).json();
    let count = |name: &str| moved[name].as_u64();
    assert_eq!((count("done"), count("changed"), count("missing")), (Some(11), Some(1), Some(1)));
    assert_eq!(text(images.join("red-1.png")), "something else");
    assert_eq!(names_in(&images), ["deep", "red-1.png"]);
    assert_eq!(names_in(&sorted.join("noise")).len(), 11);

    assert_eq!(apply(&["--symlink"]).code(3).json()["missing"], 12);
    apply(&["--list", "--really"]).code(0);
    assert_eq!(text(sorted.join("list.csv")).lines().count(), 14);
    apply(&["--list", "--really"]).code(1);
}

#[test]
fn export_is_what_numpy_reads() {
    let (folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    daemon.run(["recluster", "optics", "--min-points", "3"]).code(0);
    let at = |name: &str| folder.path().join(name);
    let (npy, csv, plot) = (at("embeddings.npy"), at("labels-out.csv"), at("reachability.csv"));
    let mut command = culld();
    command.args(["export", "--json", "--server", &daemon.server, "--embeddings"]).arg(&npy);
    command.arg("--labels").arg(&csv).arg("--reachability").arg(&plot);
    let written = Run::of(command).code(0).json();
    assert_eq!((written["images"].as_u64(), written["reachability_points"].as_u64()), (Some(12), Some(12)));

    let bytes = fs::read(npy).unwrap();
    let (header, data) = bytes.split_at(128);
    assert!(
        header
            .starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (12, ")
    );
    assert_eq!(data.len() % (12 * 4), 0);
    let row: Vec<f32> = data[..data.len() / 12]
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let norm: f32 = row.iter().map(|value| value * value).sum();
    assert!((norm - 1.0).abs() < 1e-3, "{norm}");
    let labels = text(csv);
    assert!(labels.starts_with("image_id,file,cluster,distance,decision,provisional_side,confidence\n"));
    assert_eq!(labels.lines().count(), 13);
}

#[test]
fn demo_does_the_whole_job_on_any_folder() {
    for count in [0, 1, 2, 9] {
        let folder = tempfile::tempdir().unwrap();
        let (images, out) = (folder.path().join("images"), folder.path().join("out"));
        fs::create_dir(&images).unwrap();
        for shade in 0..count {
            picture(&images.join(format!("{shade}.png")), if shade % 2 == 0 { RED } else { BLUE }, shade);
        }
        fs::write(images.join("notes.txt"), "no picture").unwrap();
        // Twice: what an earlier demo made is replaced.
        for _ in 0..2 {
            let mut command = culld();
            command.args(["demo", "--json", "--out"]).arg(&out).arg(&images);
            let summary = Run::of(command).code(0).json();
            assert_eq!(summary["images"], u64::from(count) + 1);
            assert_eq!(summary["added"], count);
            assert_eq!(summary["rejected"], 1);
            assert_eq!(summary["contact_sheets"], summary["clusters"]);
            assert_eq!(text(out.join("decisions.csv")).lines().count(), usize::from(count) + 1);
        }
        assert!(out.join("data").is_dir());
    }
}

#[test]
fn demo_does_not_look_at_what_it_makes() {
    let (folder, _images) = two_colours();
    fs::remove_file(folder.path().join("labels.csv")).unwrap();
    for _ in 0..2 {
        let mut command = culld();
        command.args(["demo", ".", "--json"]).current_dir(folder.path());
        assert_eq!(Run::of(command).code(0).json()["images"], 12);
    }
}

#[test]
fn demo_leaves_other_folders_alone() {
    let (folder, images) = two_colours();
    fs::create_dir(folder.path().join("data")).unwrap();
    let mut command = culld();
    command.arg("demo").arg(&images).arg("--out").arg(folder.path());
    let refused = Run::of(command).code(1);
    assert!(refused.stderr().contains("--out"), "{}", refused.stderr());
    assert!(folder.path().join("labels.csv").is_file() && folder.path().join("data").is_dir());
}

#[test]
fn simulate_measures_a_perfect_reviewer() {
    let (folder, images) = two_colours();
    let labels = folder.path().join("labels.csv");
    let simulate = || {
        let mut command = culld();
        command.args(["simulate", "--json", "--keep", "red", "--seed", "3", "--labels"]).arg(&labels);
        Run::of({
            command.arg("--images").arg(&images);
            command
        })
        .code(0)
        .json()
    };
    let first = simulate();
    assert_eq!(first["images"], 12);
    let point = &first["at"][0];
    assert!(
        point["quality_metric"].as_f64().is_some_and(|quality| (0.0..=1.0).contains(&quality)),
        "{point}"
    );
    assert_eq!(simulate(), first, "one seed, one result");
}

#[test]
fn a_daemon_that_dies_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("p"), RED, 0);
    let mut daemon = Daemon::start();
    let mut command = culld();
    // So often that it is still at it when the daemon dies.
    command.args(["add", "--server", &daemon.server]).args(std::iter::repeat_n("p", 20_000));
    command.current_dir(folder.path()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while daemon.run(["stats"]).code(0).json()["images"] == 0 {}
    daemon.child.kill().unwrap();
    let error = Run(child.wait_with_output().unwrap()).code(4).stderr();
    assert!(error.contains("run it again"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_daemon_ends_in_order() {
    let mut daemon = Daemon::start();
    let kill = Command::new("kill").args(["-TERM", &daemon.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}
