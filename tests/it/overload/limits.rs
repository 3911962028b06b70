//! What the system denies: each is survived, or ends in words that say what it was, with nothing acknowledged lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use culld::access::Role;
use culld::proto::{self, AddStatus};
use image::{DynamicImage, ImageFormat, RgbImage};
use tonic::Code;

use super::is_sound;
use crate::access::{Token, by, write_tokens};
use crate::durability::{Served, command};
use crate::support::{Api, encoded, groups, picture};

/// A shell that does something first, and then is the daemon, whose errors go to a file.
fn after(data: &Path, first: &str, errors: &Path) -> Command {
    let daemon = command(data, "fsync");
    let mut shell = Command::new("sh");
    let script = format!("{first} exec \"$0\" \"$@\" 2>{}", errors.display());
    shell.args(["-c", &script]).arg(daemon.get_program()).args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// A data folder with images in it, and their ids.
async fn filled(folder: &Path) -> (PathBuf, Vec<String>) {
    let data = folder.join("data");
    let served = Served::start(&data, "fsync").await;
    let ids = served.api.add_new(groups(0..3, 3)).await.into_values().collect();
    served.terminate();
    assert!(served.ended().await.success());
    (data, ids)
}

async fn check_stored(api: &Api, ids: &[String]) {
    let stored: Vec<String> = api.list().await.into_iter().map(|image| image.image_id).collect();
    let lost: Vec<&String> = ids.iter().filter(|id| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    is_sound(api).await;
}

/// Whether this user may do what a test needs. What is missing is said aloud.
fn may(what: &str, tried: &mut Command) -> bool {
    let may = tried.output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: {what} needs privileges that are not here");
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (data, ids) = filled(folder.path()).await;
    let mounted = format!("mount --bind '{0}' '{0}' && mount -o remount,ro,bind '{0}'", data.display());
    if !may("mounting", Command::new("unshare").args(["-m", "sh", "-c", &mounted])) {
        return;
    }
    let errors = folder.path().join("errors");
    let shell = after(&data, &format!("{mounted} &&"), &errors);
    let mut unshared = Command::new("unshare");
    unshared.arg("-m").arg(shell.get_program()).args(shell.get_args());
    let output = tokio::task::spawn_blocking(move || unshared.output().unwrap()).await.unwrap();
    let error = fs::read_to_string(&errors).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("ead-only") && error.contains(data.to_str().unwrap()), "{error}");
    let served = Served::start(&data, "fsync").await;
    check_stored(&served.api, &ids).await;
}

/// However few files it may open, it serves or says that these are too few.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_files_are_told_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut ids) = filled(folder.path()).await;
    let (mut served, mut refused) = (0, 0);
    for files in [12, 16, 20, 24, 32, 48, 64, 100] {
        let errors = folder.path().join("errors");
        match Served::of(after(&data, &format!("ulimit -n {files};"), &errors)).await {
            None => {
                refused += 1;
                let error = fs::read_to_string(&errors).unwrap();
                assert!(
                    error.contains("Too many open files") || error.contains("os error 24"),
                    "{files}: {error}"
                );
            }
            Some(daemon) => {
                served += 1;
                if let Ok(outcome) = daemon.api.add(&files.to_string(), picture(9, files)).await
                    && outcome.status() == AddStatus::Added
                {
                    ids.push(outcome.image_id);
                }
            }
        }
    }
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    let daemon = Served::start(&data, "fsync").await;
    check_stored(&daemon.api, &ids).await;
}

/// A token that is taken out while no file can be opened is taken out once one can.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_out_though_files_ran_out() {
    if !may("a limit of another process", Command::new("prlimit").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let (kept, gone) = (Token::new("kept", &[Role::Read], &["*"]), Token::new("gone", &[Role::Read], &["*"]));
    write_tokens(&tokens, &[&kept, &gone]);
    let mut closed = command(&folder.path().join("data"), "fsync");
    closed.arg("--tokens").arg(&tokens);
    let served = Served::of(closed).await.unwrap();
    let code = async |token: &Token| {
        let request = by(Some(&token.secret), proto::GetServerInfoRequest::default());
        served.api.admin().get_server_info(request).await.map_or_else(|error| error.code(), |_| Code::Ok)
    };
    let limit = |files: usize| {
        let process = served.id().to_string();
        let files = format!("--nofile={files}:4096");
        let limited = Command::new("prlimit").args(["--pid", &process, &files]).status().unwrap();
        assert!(limited.success());
    };
    assert_eq!((code(&kept).await, code(&gone).await), (Code::Ok, Code::Ok));
    limit(1);
    write_tokens(&tokens, &[&kept]);
    assert_eq!((code(&kept).await, code(&gone).await), (Code::Ok, Code::Ok));
    limit(4096);
    while code(&gone).await != Code::Unauthenticated {
        tokio::task::yield_now().await;
    }
    assert_eq!(code(&kept).await, Code::Ok);
}

/// Without memory for a picture, the picture or the daemon fails, in words; what was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_told_and_loses_nothing() {
    if !may("a limit of another process", Command::new("prlimit").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let errors = folder.path().join("errors");
    let mut served = Served::of(after(&data, "", &errors)).await.unwrap();
    let mut ids: Vec<String> = served.api.add_new(groups(0..3, 3)).await.into_values().collect();
    let status = fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--as={}", (kib << 10) + (96 << 20));
    let limited = Command::new("prlimit").args(["--pid", &served.id().to_string(), &limit]).status().unwrap();
    assert!(limited.success());
    let mut ended = false;
    for item in 0..40 {
        // Small ones fit, and 7,000 pixels by 7,000 don't.
        let bytes = match item % 4 {
            3 => encoded(&DynamicImage::ImageRgb8(RgbImage::new(7_000, 7_000 + item)), ImageFormat::Png),
            _ => picture(9, u64::from(item)),
        };
        match served.api.add(&item.to_string(), bytes).await {
            Ok(outcome) if outcome.status() == AddStatus::Added => ids.push(outcome.image_id),
            Ok(_) => {}
            // The call alone may have failed.
            Err(_) if served.api.admin().get_stats(proto::GetStatsRequest::default()).await.is_ok() => {}
            Err(_) => {
                ended = true;
                break;
            }
        }
    }
    if ended {
        assert!(!served.wait().success());
        let error = fs::read_to_string(&errors).unwrap();
        // The system says of a stack that there is no thread.
        assert!(error.contains("memory") || error.contains("spawn thread"), "{error}");
    }
    drop(served);
    let served = Served::start(&data, "fsync").await;
    check_stored(&served.api, &ids).await;
}
