//! What is acknowledged has been fsynced: counted in the system calls of the real process.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::durability::{Served, command};
use crate::support::picture;

const IMAGES: u64 = 20;

/// System calls that make bytes last, finished so far.
fn syncs(trace: &Path) -> usize {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    text.lines().filter(|line| line.contains("sync") && line.ends_with("= 0")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_acknowledged_once_it_is_fsynced() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let daemon = command(&folder.path().join("data"), "fsync");
    let mut traced = Command::new("strace");
    // With -D the process that is started is the daemon, and not its tracer.
    traced.args(["-D", "-f", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"]).arg(&trace);
    traced.arg(daemon.get_program()).args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let Some(served) = Served::of(traced).await else {
        eprintln!("skipped: this machine lets nobody trace");
        return;
    };
    let first = syncs(&trace);
    for item in 0..IMAGES {
        let before = syncs(&trace);
        served.api.add(&item.to_string(), picture(1, item)).await.unwrap();
        assert!(syncs(&trace) > before, "image {item} was acknowledged before any fsync");
    }
    eprintln!("{} fsyncs for {IMAGES} images, one after the other", syncs(&trace) - first);
}
