//! Files and messages that somebody made to do harm, by the thousand, through a real daemon: each gets its outcome, the
//! daemon stays, and so does its memory.

use std::fmt::Write as _;

use culld::proto;
use culld::proto::AddStatus;
use image::{DynamicImage, ImageFormat};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::Code;

use crate::decode::{jpeg, png_chunk, scene};
use crate::durability::{Served, command};
use crate::support::raw::Raw;
use crate::support::{encoded, header, image_message};

/// Files, unless `CULLD_HOSTILE_FILES` says how many.
const FILES: u64 = 1000;
/// Files of one stream.
const STREAM: u64 = 50;
/// Messages of each call.
const MESSAGES: u32 = 40;
/// MiB by which the daemon's largest memory may grow: two workers with a picture of 4 megapixels each, in the widest
/// form there is while it is decoded, and what else they need.
const GROWTH_MIB_MAX: u64 = 256;

/// Good files, a few of each format.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (width, height) in [(1, 1), (33, 17), (120, 80)] {
        let rgb = scene(width, height, width);
        let picture = DynamicImage::ImageRgb8(rgb.clone());
        let rgba = DynamicImage::ImageRgba8(picture.to_rgba8());
        seeds.push(("jpeg", jpeg(&rgb, 80)));
        for (name, format) in [
            ("png", ImageFormat::Png),
            ("webp", ImageFormat::WebP),
            ("bmp", ImageFormat::Bmp),
            ("tiff", ImageFormat::Tiff),
        ] {
            seeds.push((name, encoded(&picture, format)));
        }
        seeds.push(("gif", encoded(&rgba, ImageFormat::Gif)));
        seeds.push(("png", encoded(&DynamicImage::ImageRgba16(picture.to_rgba16()), ImageFormat::Png)));
    }
    // A header that announces what is not there.
    let announced = [&40_000u32.to_be_bytes()[..], &40_000u32.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    seeds.push(("png", [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk("IHDR", &announced)].concat()));
    seeds
}

/// Numbers that arithmetic goes wrong with.
const EXTREMES: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];

pub(crate) fn mutated(rng: &mut ChaCha8Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..rng.random_range(1..8) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        // Headers are at the beginning, and do the most harm.
        let at = if rng.random_bool(0.5) { at % 64.min(bytes.len()) } else { at };
        match rng.random_range(0..8) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 | 3 => {
                let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())];
                let width = [1, 2, 4][rng.random_range(0..3)];
                let value = if rng.random() { extreme.to_le_bytes() } else { extreme.to_be_bytes() };
                for (to, from) in bytes[at..].iter_mut().zip(&value[..width]) {
                    *to = *from;
                }
            }
            4 => bytes.truncate(at),
            5 => {
                let end = rng.random_range(at..=bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let end = rng.random_range(at..=bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let from = rng.random_range(0..other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

/// Of a process, in MiB: the most memory it had so far.
fn peak_mib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

async fn small_daemon(folder: &tempfile::TempDir) -> Served {
    let mut command = command(&folder.path().join("data"), "process");
    command.args(["--image-megapixels-max", "4", "--decode-seconds-max", "2"]);
    Served::of(command).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_are_outcomes() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, files) = (number("CULLD_SEED", 7), number("CULLD_HOSTILE_FILES", FILES));
    eprintln!("CULLD_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let seeds = seeds();
    let folder = tempfile::tempdir().unwrap();
    let mut served = small_daemon(&folder).await;
    served.api.add("first", seeds[2].1.clone()).await.unwrap();
    let before = peak_mib(served.id());
    let mut counts = std::collections::BTreeMap::<_, [u64; 2]>::new();
    for first in (0..files).step_by(STREAM as usize) {
        let mut kinds = std::collections::BTreeMap::new();
        let mut messages = vec![header("")];
        for number in first..files.min(first + STREAM) {
            let (kind, good) = &seeds[(number % seeds.len() as u64) as usize];
            let other = &seeds[rng.random_range(0..seeds.len())].1;
            kinds.insert(number.to_string(), *kind);
            messages.push(image_message(&number.to_string(), mutated(&mut rng, good.clone(), other)));
        }
        let mut stream =
            served.api.images().add_images(tokio_stream::iter(messages)).await.unwrap().into_inner();
        let mut answered = 0;
        while let Some(answer) = stream.message().await.unwrap() {
            let outcome = answer.outcome.unwrap();
            let refused = match outcome.status() {
                AddStatus::Added | AddStatus::AlreadyPresent => 0,
                AddStatus::Rejected => 1,
                _ => panic!("{outcome:?}"),
            };
            counts.entry(kinds[&outcome.key]).or_default()[refused] += 1;
            answered += 1;
        }
        assert_eq!(answered, kinds.len());
    }
    let stats = served.api.stats().await;
    assert_eq!((stats.queued_images, stats.inflight_bytes), (0, 0));
    let mut table = String::from("| made of | read | refused |\n|---|---|---|\n");
    for (kind, [read, refused]) in counts {
        writeln!(table, "| {kind} | {read} | {refused} |").unwrap();
    }
    if let (Some(before), Some(after)) = (before, peak_mib(served.id())) {
        writeln!(
            table,
            "\n{files} files (seed {seed}); the largest memory of the daemon: {before} MiB, then {after} MiB"
        )
        .unwrap();
        assert!(after <= before + GROWTH_MIB_MAX, "{before} MiB, then {after} MiB");
    }
    eprintln!("{table}");
    if let Some(path) = std::env::var_os("CULLD_TABLE") {
        std::fs::write(path, table).unwrap();
    }
    served.terminate();
    assert!(served.wait().success());
}

/// A message of fields as the wire has them, some of which any call knows.
fn message(rng: &mut ChaCha8Rng, depth: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.random_range(0..6) {
        let field = rng.random_range(1..10u32);
        let varint = |bytes: &mut Vec<u8>, value: u64| prost::encoding::encode_varint(value, bytes);
        let length_first = |bytes: &mut Vec<u8>, content: &[u8]| {
            varint(bytes, u64::from(field << 3 | 2));
            varint(bytes, content.len() as u64);
            bytes.extend_from_slice(content);
        };
        match rng.random_range(0..7) {
            0 => {
                varint(&mut bytes, u64::from(field << 3));
                let extreme = u64::from(EXTREMES[rng.random_range(0..EXTREMES.len())]);
                varint(&mut bytes, if rng.random() { extreme } else { u64::MAX - extreme });
            }
            1 => {
                varint(&mut bytes, u64::from(field << 3 | 1));
                let odd =
                    [f64::NAN, f64::INFINITY, -1.0, 0.0, f64::MIN_POSITIVE, 0.3][rng.random_range(0..6)];
                bytes.extend(odd.to_le_bytes());
            }
            2 => length_first(&mut bytes, b"default"),
            3 => length_first(&mut bytes, &"0".repeat(64).into_bytes()),
            4 if depth < 4 => {
                let inner = message(rng, depth + 1);
                length_first(&mut bytes, &inner);
            }
            5 => {
                let noise: Vec<u8> = (0..rng.random_range(0..20)).map(|_| rng.random()).collect();
                length_first(&mut bytes, &noise);
            }
            _ => bytes.extend((0..rng.random_range(0..5)).map(|_| rng.random::<u8>())),
        }
    }
    bytes
}

/// Calls that only wait, or that take the daemon's time for themselves.
const LEFT_OUT: [&str; 2] = ["WaitOperation", "WatchOperation"];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_messages_are_answered() {
    let seed = std::env::var("CULLD_SEED").map_or(3, |seed| seed.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut served = small_daemon(&folder).await;
    served.api.add_new(crate::support::groups(1..4, 4)).await;
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let mut calls = 0;
    for file in set.file.iter().filter(|file| file.package() == "culld.v1") {
        for service in &file.service {
            for method in service.method.iter().filter(|method| !LEFT_OUT.contains(&method.name())) {
                calls += 1;
                let path = format!("/culld.v1.{}/{}", service.name(), method.name());
                for turn in 0..MESSAGES {
                    let bytes = message(&mut rng, 0);
                    let mut client = tonic::client::Grpc::new(served.api.channel.clone());
                    client.ready().await.unwrap();
                    let path = path.parse().unwrap();
                    // A call that has a stream for an answer is left once it begins.
                    let mut request = tonic::Request::new(tokio_stream::once(bytes.clone()));
                    request.set_timeout(std::time::Duration::from_mins(1));
                    let answer = client.streaming(request, path, Raw).await;
                    let answer = match answer {
                        Ok(stream) => {
                            let mut stream = stream.into_inner();
                            stream.message().await.map(drop)
                        }
                        Err(status) => Err(status),
                    };
                    if let Err(status) = answer {
                        // What can't be decoded is INTERNAL by gRPC's own rules.
                        let decoding = status.message().contains("failed to decode Protobuf message");
                        let bad = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss);
                        assert!(!bad || decoding, "{seed}/{turn} {}: {status:?} to {bytes:?}", method.name());
                    }
                }
            }
        }
    }
    assert!(calls > 30, "{calls}");
    served.api.stats().await;
    served.terminate();
    assert!(served.wait().success());
}
