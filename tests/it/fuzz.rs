//! The corpora of the fuzz targets, replayed, and each of their files changed in many ways.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

use culld::portable::{self, PortableWriter, npy};
use culld::store::backup::BackupWriter;
use culld::store::{Kind, SledOptions, SledStore, Store as _, codec};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::fixtures::unpacked;
use crate::hostile::{mutated, seeds};

/// Changes of each file, unless `CULLD_FUZZ_ROUNDS` says how many.
const ROUNDS: u64 = 200;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_bytes_make_a_target_panic() {
    let rounds = std::env::var("CULLD_FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for (name, target) in targets::TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (number, file) in files.iter().enumerate() {
            target(file);
            for _ in 0..rounds {
                let other = &files[(number + 1) % files.len()];
                target(&mutated(&mut rng, file.clone(), if other.is_empty() { b"x" } else { other }));
            }
        }
        for length in 0..64 {
            target(&vec![0; length]);
            target(&vec![0xff; length]);
        }
    }
}

/// A new message is fuzzed as well.
#[test]
fn every_request_has_its_place_among_the_targets() {
    let text = include_str!("../../fuzz/targets.rs");
    let set: prost_types::FileDescriptorSet = prost::Message::decode(culld::proto::DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "culld.v1") {
        for method in file.service.iter().flat_map(|service| &service.method) {
            let request = method.input_type().rsplit('.').next().unwrap();
            assert!(text.contains(&format!("        {request},\n")), "{request} is not fuzzed");
        }
    }
}

fn write(target: &str, number: usize, bytes: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    fs::write(corpus(target).join(format!("{number:03}")), bytes).unwrap();
}

/// An export of a few bytes.
fn small_export() -> Vec<u8> {
    let mut export = Vec::new();
    let mut writer = PortableWriter::new(&mut export);
    writer.entry("collection.json", b"{\"format\":\"culld-collection\"}\n").unwrap();
    writer.entry("images/000000000/vectors.npy", &npy(&[0.5; 6], 3)).unwrap();
    writer.entry(portable::END, b"{}\n").unwrap();
    writer.finish().unwrap();
    export
}

/// Makes the corpora anew, when asked to: `CULLD_MAKE_CORPUS=1`.
#[test]
fn corpora_are_made_on_demand() {
    if std::env::var_os("CULLD_MAKE_CORPUS").is_none() {
        return;
    }
    for (number, (_, bytes)) in seeds().iter().filter(|(_, bytes)| bytes.len() < 8000).enumerate() {
        write("decode", number, bytes);
    }
    let (_folder, data) = unpacked("store-1");
    let store = SledStore::open(&data, &SledOptions::default()).unwrap();
    let backup = data.join("small.backup");
    let mut written = BackupWriter::create(&backup, 5).unwrap();
    let (mut records, mut entries) = (0, 0);
    for (number, kind) in Kind::ALL.iter().enumerate() {
        let mut of_kind = Vec::new();
        store
            .scan(&[*kind as u8], &mut |key, value| {
                of_kind.push((key.to_vec(), value.to_vec()));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        for (key, value) in of_kind.into_iter().take(4) {
            let payload = codec::open(kind.version(), &key, &value).unwrap();
            write("record", records, &[&[number as u8], payload].concat());
            records += 1;
            if *kind == Kind::Event {
                // One entry of a list.
                write("log", entries, &[&[1], payload].concat());
                entries += 1;
            }
            if value.len() < 500 {
                written.push(&[culld::store::Write::Put { key, value }]).unwrap();
            }
        }
    }
    written.finish().unwrap();
    write("backup", 0, &fs::read(&backup).unwrap());
    write("export", 0, &small_export());
    for (number, text) in [
        "data = \"culld-data\"\nlisten = \"127.0.0.1:0\"\nworkers = 3\nimage_mib_max = 64\n",
        "durability = \"process\"\nindex = \"hnsw\"\nmodel = \"fake\"\nallowed_roots = [\"/\"]\nlease_seconds = 10\n",
        "[table]\nx = 1979-05-27T07:32:00Z\n",
    ]
    .iter()
    .enumerate()
    {
        write("config", number, text.as_bytes());
    }
    for (number, text) in [
        "file,class\na.jpg,cat\n\"b\n.jpg\",dog\n",
        "\u{feff}class;file\n",
        "class,weight,file\ncat,1,x\n\n\"\n",
    ]
    .iter()
    .enumerate()
    {
        write("labels", number, text.as_bytes());
    }
    let image = culld::proto::NewImage { key: "a".into(), data: vec![1, 2, 3], ..Default::default() };
    let messages = [
        prost::Message::encode_to_vec(&culld::proto::AddImageRequest {
            image: Some(image),
            ..Default::default()
        }),
        prost::Message::encode_to_vec(&culld::proto::GetImageRequest {
            collection: "default".into(),
            image_id: "0".repeat(64),
            ..Default::default()
        }),
    ];
    for (number, message) in messages.iter().enumerate() {
        write("message", number, message);
    }
}
