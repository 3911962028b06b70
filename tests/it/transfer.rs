//! Collections in their portable form: what comes out of one daemon is the same in another, and nothing else comes in.

use std::path::Path;

use culld::portable::{END, Portable, PortableWriter, npy};
use culld::proto;
use culld::proto::import_collection_request::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::backup::{decisions, judged, path};
use crate::durability::{Served, run};
use crate::support::{Api, TestDaemon, check_error, encoded, groups, id_of, ids_filter, picture};

impl Api {
    async fn export(&self) -> Result<Vec<u8>, Status> {
        let request = proto::ExportCollectionRequest { collection: self.collection.clone() };
        let mut pieces = self.collections().export_collection(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await? {
            bytes.extend(piece.data);
        }
        Ok(bytes)
    }

    /// Imports into the collection that the calls are about; answers the last message.
    async fn take_in(&self, bytes: &[u8]) -> Result<proto::ImportCollectionResponse, Status> {
        self.take_in_as(bytes, "").await
    }

    async fn take_in_as(
        &self,
        bytes: &[u8],
        request_id: &str,
    ) -> Result<proto::ImportCollectionResponse, Status> {
        let header = proto::ImportCollectionHeader {
            collection: self.collection.clone(),
            request_id: request_id.to_owned(),
        };
        let pieces: Vec<Message> = bytes.chunks(50_000).map(|piece| Message::Data(piece.to_vec())).collect();
        let messages = std::iter::once(Message::Header(header)).chain(pieces);
        let messages: Vec<_> =
            messages.map(|message| proto::ImportCollectionRequest { message: Some(message) }).collect();
        let answers = self.collections().import_collection(tokio_stream::iter(messages)).await?;
        let (mut answers, mut last) = (answers.into_inner(), None);
        while let Some(answer) = answers.message().await? {
            last = Some(answer);
        }
        let last = last.unwrap();
        assert!(last.collection.is_some(), "{last:?}");
        Ok(last)
    }

    async fn log(&self) -> Vec<proto::LogEntry> {
        let request = proto::ListEventsRequest { collection: self.collection.clone(), ..Default::default() };
        self.decisions().list_events(request).await.unwrap().into_inner().events
    }

    async fn names(&self) -> Vec<String> {
        let request = proto::ListCollectionsRequest::default();
        let listed = self.collections().list_collections(request).await.unwrap().into_inner();
        listed.collections.into_iter().map(|collection| collection.name).collect()
    }
}

type Entries = Vec<(String, Vec<u8>)>;

fn entries(bytes: &[u8]) -> Entries {
    let mut portable = Portable::over(bytes);
    let mut entries = portable.entries().unwrap();
    std::iter::from_fn(|| entries.next_entry().unwrap()).collect()
}

/// An export of these entries, with the digest that belongs to them.
fn packed(entries: &Entries) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PortableWriter::new(&mut bytes);
    for (path, entry) in entries {
        let mut entry = entry.clone();
        if path == END {
            let mut end: Value = serde_json::from_slice(&entry).unwrap();
            end["blake3"] = json!(writer.digest());
            entry = serde_json::to_vec(&end).unwrap();
        }
        writer.entry(path, &entry).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// Changes the entry that begins so, a JSON document.
fn edit(entries: &Entries, begins: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit_line(entries, begins, 0, change)
}

/// Changes one line of it.
fn edit_line(entries: &Entries, begins: &str, line: usize, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    // Integers of 128 bits, which a `Value` would make floats of, are strings meanwhile.
    let large = regex::Regex::new(r":(\d{20,})").unwrap();
    let quoted = regex::Regex::new(r#""@(\d+)""#).unwrap();
    replace(entries, begins, |bytes| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let parsed = |line: &str| serde_json::from_str(&large.replace_all(line, ":\"@$1\"")).unwrap();
        let mut lines: Vec<Value> = text.lines().map(parsed).collect();
        change(&mut lines[line]);
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        quoted.replace_all(&lines.concat(), "$1").into_owned().into_bytes()
    })
}

fn replace(entries: &Entries, begins: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut entries = entries.clone();
    let found = entries.iter_mut().find(|(path, _)| path.starts_with(begins));
    let (_, bytes) = found.unwrap_or_else(|| panic!("no entry begins with {begins}"));
    *bytes = change(bytes);
    packed(&entries)
}

async fn set_policy(api: &Api) {
    let policy = proto::Policy { standing_margin: Some(0.123_456_789_012_345_67), ..Default::default() };
    let request = proto::SetPolicyRequest { policy: Some(policy), ..Default::default() };
    api.collections().set_policy(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_collection_is_the_same_elsewhere() {
    let here = judged().await;
    set_policy(&here).await;
    here.recluster(proto::parameters::Algorithm::Optics(proto::OpticsParameters::default())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("default.tar");
    let server = format!("http://{}", here.address());
    let exported = run(&["export", path(&file), "--server", &server]);
    assert!(exported.status.success(), "{exported:?}");
    assert!(!folder.path().join("default.tar.part").exists());

    let there = TestDaemon::start().await;
    let server = format!("http://{}", there.address());
    let imported = run(&["import", path(&file), "--server", &server, "--collection", "cars", "--json"]);
    assert!(imported.status.success(), "{imported:?}");
    let said: Value = serde_json::from_slice(&imported.stdout).unwrap();
    let stats = here.stats().await;
    assert_eq!(said, json!({"collection": "cars", "images": stats.images, "events": stats.events}));
    let cars = there.at("cars");
    check_same(&here, &cars).await;
    // All of it is written again as it was read, but for its name, the time, and counts of the time since.
    let [first, second] = [entries(&here.export().await.unwrap()), entries(&cars.export().await.unwrap())];
    let but_names = |entries: &Entries| -> Entries {
        let named = |path: &str| ["collection.json", "growth.json", END].contains(&path);
        entries.iter().filter(|(path, _)| !named(path)).cloned().collect()
    };
    assert!(but_names(&first) == but_names(&second));

    // It goes on as the other would: by images, judgements and restarts.
    for api in [&*here, &cars] {
        api.add("again", picture(2, 0)).await.unwrap();
        api.add("late", picture(5, 77)).await.unwrap();
        api.judge(proto::Side::Discard, &[&id_of(&picture(6, 1))]).await.unwrap();
    }
    assert_eq!(decisions(&here).await.0, decisions(&cars).await.0);
    let there = there.restarted().await;
    assert_eq!(decisions(&here).await.0, decisions(&there.at("cars")).await.0);
    let folder = there.stopped().await;
    let verified = run(&["verify", "--data", path(&folder.path().join("data"))]);
    assert!(verified.status.success(), "{verified:?}");
}

async fn check_same(here: &Api, there: &Api) {
    assert_eq!(decisions(here).await.0, decisions(there).await.0);
    assert_eq!(here.list().await, there.list().await);
    assert_eq!(here.log().await, there.log().await, "with hashes, and times");
    assert_eq!(here.clusters(0).await, there.clusters(0).await);
    let list = async |api: &Api| {
        let request =
            proto::ListClusteringsRequest { collection: api.collection.clone(), ..Default::default() };
        let clusterings = api.clusterings().list_clusterings(request).await.unwrap().into_inner();
        let request =
            proto::GetReachabilityRequest { collection: api.collection.clone(), ..Default::default() };
        let plot = api.clusterings().get_reachability(request).await.unwrap().into_inner();
        let request = proto::GetPolicyRequest { collection: api.collection.clone() };
        (
            clusterings.clusterings,
            plot.points,
            api.collections().get_policy(request).await.unwrap().into_inner(),
        )
    };
    assert_eq!(list(here).await, list(there).await);
    let thumbnails = async |api: &Api| {
        let image_ids = api.list().await.into_iter().map(|image| image.image_id).collect();
        let request = proto::BatchGetThumbnailsRequest { collection: api.collection.clone(), image_ids };
        api.images().batch_get_thumbnails(request).await.unwrap().into_inner()
    };
    assert_eq!(thumbnails(here).await, thumbnails(there).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_takes_a_name_that_is_free() {
    let daemon = judged().await;
    let export = daemon.export().await.unwrap();
    let taken = |result| check_error(result, Code::AlreadyExists, "ALREADY_EXISTS", "");
    taken(daemon.take_in(&export).await);
    taken(daemon.at("other").take_in(&export).await);
    check_error(
        daemon.at("Not/A").take_in(&export).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "collection",
    );
    // One that holds nothing makes room, and so does the default one elsewhere.
    let empty = daemon.create("empty").await;
    empty.take_in(&export).await.unwrap();
    assert_eq!(decisions(&empty).await.0, decisions(&daemon).await.0);
    taken(empty.take_in(&export).await);
    let first = daemon.at("new").take_in_as(&export, "once").await.unwrap();
    let again = daemon.at("new").take_in_as(&[], "once").await.unwrap();
    assert_eq!(first.collection.unwrap().create_time, again.collection.unwrap().create_time);
    let elsewhere = TestDaemon::with(|config| config.collections_max = 1).await;
    let more = elsewhere.at("new").take_in(&export).await;
    check_error(more, Code::ResourceExhausted, "LIMIT_REACHED", "");
    elsewhere.take_in(&export).await.unwrap();
    assert_eq!(decisions(&elsewhere).await.0, decisions(&daemon).await.0);
    let small = TestDaemon::with(|config| config.quota.images_max = Some(10)).await;
    check_error(small.take_in(&export).await, Code::ResourceExhausted, "LIMIT_REACHED", "");
    check_error(small.at("none").export().await, Code::NotFound, "NOT_FOUND", "");
}

/// Names of collections, and a store without a problem, which stray records would be.
async fn check_untouched(daemon: TestDaemon, names: &[&str]) {
    assert_eq!(daemon.names().await, names);
    let folder = daemon.stopped().await;
    let verified = run(&["verify", "--data", path(&folder.path().join("data")), "--json"]);
    assert!(verified.status.success(), "{verified:?}");
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(report.to_string().contains("problems"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_export_leaves_nothing() {
    let export = judged().await.export().await.unwrap();
    let daemon = TestDaemon::start().await;
    let whole = daemon.at("whole");
    let refused = |result: Result<proto::ImportCollectionResponse, Status>, what: &str| {
        let Err(status) = result else { panic!("{what} was taken in") };
        let code = status.code();
        assert!(code == Code::FailedPrecondition, "{what}: {status:?}");
    };
    // The end of a tar is empty blocks, which nothing hangs on.
    let end = export.windows(END.len()).rposition(|window| window == END.as_bytes()).unwrap();
    for at in (0..24).map(|part| end * part / 24).chain([end]) {
        refused(whole.take_in(&export[..at]).await, &format!("cut off at {at}"));
    }
    let mut taken = 0;
    for part in 0..32 {
        let at = (end * part / 32) | 1;
        let mut damaged = export.clone();
        damaged[at] ^= 0x10;
        match whole.take_in(&damaged).await {
            // What fills a block up is nobody's.
            Ok(_) => {
                taken += 1;
                assert_eq!(export[at], 0, "damaged at {at}");
                let request =
                    proto::DeleteCollectionRequest { collection: "whole".into(), ..Default::default() };
                daemon.collections().delete_collection(request).await.unwrap();
            }
            Err(status) => refused(Err(status), ""),
        }
    }
    assert!(taken < 20, "{taken} of 32");
    refused(whole.take_in(b"").await, "nothing");
    refused(whole.take_in(&picture(1, 1)).await, "a picture");
    refused(whole.take_in(&[&export[..end - 512], &export[..]].concat()).await, "two");
    for (rest, what) in
        [(vec![1], "a byte"), (export.clone(), "another one"), (vec![0; 2 << 20], "endless blocks")]
    {
        refused(whole.take_in(&[&export[..], &rest].concat()).await, &format!("with {what} behind it"));
    }
    // A caller that sends no piece, or leaves.
    let odd = |message| proto::ImportCollectionRequest { message };
    for first in [None, Some(Message::Data(vec![1]))] {
        let answers = daemon.collections().import_collection(tokio_stream::iter([odd(first)])).await;
        let answer = answers.unwrap().into_inner().message().await;
        check_error(answer, Code::InvalidArgument, "INVALID_FIELD", "message");
    }
    check_untouched(daemon, &["default"]).await;
    // Other tools fill the last block up.
    let other = TestDaemon::start().await;
    other.at("padded").take_in(&[&export[..], &[0; 10_240]].concat()).await.unwrap();
}

/// Exports that say of times and counts what never was, with digests that fit.
fn unlikely(parts: &Entries) -> Vec<Vec<u8>> {
    let log = &parts.iter().find(|(path, _)| path.starts_with("log/")).unwrap().1;
    let log = String::from_utf8(log.clone()).unwrap();
    let policy = log.lines().position(|line| line.contains("SetPolicy")).unwrap();
    let large = u64::MAX - 1;
    vec![
        edit_line(parts, "log/", 0, |line| line["event"]["at_ms"] = json!(i64::MAX / 1000)),
        edit_line(parts, "log/", 0, |line| line["event"]["at_ms"] = json!(-1)),
        edit_line(parts, "log/", policy, |line| line["event"]["act"]["SetPolicy"]["version"] = json!(large)),
        edit(parts, "collection.json", |about| about["created_ms"] = json!(i64::MIN)),
        edit(parts, "collection.json", |about| about["state"]["generation"] = json!(large)),
        edit(parts, "collection.json", |about| about["state"]["next_cluster"] = json!(large)),
        edit(parts, "collection.json", |about| about["state"]["next_clustering"] = json!(large)),
        edit(parts, "clusterings/", |head| head["created_ms"] = json!(i64::MIN)),
        edit(parts, "clusterings/", |head| head["images"] = json!(large)),
        edit(parts, "clusterings/", |head| head["clusters"][0]["id"] = json!(large)),
        edit_line(parts, "images/", 1, |line| line["image"]["added_ms"] = json!(i64::MAX)),
        edit_line(parts, "images/", 1, |line| line["image"]["bytes"] = json!(large)),
        edit_line(parts, "images/", 1, |line| line["image"]["bytes"] = json!(0)),
        edit_line(parts, "images/", 1, |line| line["image"]["sources"][0]["last_seen_ms"] = json!(i64::MAX)),
        edit(parts, "growth.json", |growth| growth["points"][0]["decided"][1] = json!(large)),
        edit(parts, "growth.json", |growth| growth["apart_ms"] = json!(0)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_export_leaves_nothing() {
    let daemon = judged().await;
    set_policy(&daemon).await;
    let parts = entries(&daemon.export().await.unwrap());
    let new = daemon.at("new");
    new.take_in(&packed(&parts)).await.unwrap();
    let request = proto::DeleteCollectionRequest { collection: "new".into(), ..Default::default() };
    daemon.collections().delete_collection(request).await.unwrap();

    let elsewhere = edit(&parts, "collection.json", |about| about["space"]["model_digest"] = json!("00"));
    let refused = new.take_in(&elsewhere).await;
    check_error(refused, Code::FailedPrecondition, "EMBEDDING_SPACE_MISMATCH", "");
    let wide = picture_of(900, 10);
    let png = picture(1, 1);
    let dim = 1 + parts.iter().position(|(path, _)| path.starts_with("images/")).unwrap();
    let dim = (parts[dim].1.len() - 128) / 4 / 128.min(daemon.list().await.len());
    let long: Vec<f32> = std::iter::repeat_n(1.0, daemon.list().await.len() * dim).collect();
    let forged = [
        ("version", edit(&parts, "collection.json", |about| about["version"] = json!(2))),
        ("format", edit(&parts, "collection.json", |about| about["format"] = json!("zoo"))),
        ("a note", edit_line(&parts, "log/", 0, |line| line["event"]["note"] = json!("kept"))),
        ("an actor", edit_line(&parts, "log/", 2, |line| line["event"]["actor"] = json!("x".repeat(200)))),
        ("a hash", edit_line(&parts, "log/", 1, |line| line["hash"] = json!("00"))),
        ("an order", edit_line(&parts, "log/", 1, |line| line["sequence"] = json!(9))),
        ("no thumbnail", replace(&parts, "thumbnails/", |_| b"<script>".to_vec())),
        ("a PNG", replace(&parts, "thumbnails/", |_| png.clone())),
        ("a large thumbnail", replace(&parts, "thumbnails/", |_| wide.clone())),
        ("long vectors", {
            let at = parts.iter().position(|(path, _)| path.starts_with("images/")).unwrap();
            let mut parts = parts.clone();
            parts[at + 1].1 = npy(&long, dim);
            packed(&parts)
        }),
        ("no sources", edit_line(&parts, "images/", 3, |line| line["image"]["sources"] = json!([]))),
        (
            "a source",
            edit_line(&parts, "images/", 3, |line| {
                line["image"]["sources"][0]["key"] = json!("k".repeat(10_000));
            }),
        ),
        ("a generation", edit_line(&parts, "images/", 3, |line| line["image"]["generation"] = json!(99_999))),
        ("an id", edit_line(&parts, "images/", 3, |line| line["id"] = json!("12"))),
        ("a number", edit(&parts, "collection.json", |about| about["state"]["next_clustering"] = json!(1))),
        ("an active one", edit(&parts, "collection.json", |about| about["state"]["active"] = json!(77))),
        ("a cluster", edit(&parts, "clusterings/", |head| head["clusters"][0]["size"] = json!(7))),
        ("a count", edit(&parts, END, |end| end["images"] = json!(1))),
        ("no log", packed(&parts.iter().filter(|(path, _)| !path.starts_with("log/")).cloned().collect())),
        ("a path", {
            let mut parts = parts.clone();
            parts.insert(1, ("elsewhere/0".into(), Vec::new()));
            packed(&parts)
        }),
    ];
    for (number, bytes) in unlikely(&parts).into_iter().enumerate() {
        let Err(status) = new.take_in(&bytes).await else { panic!("{number} was taken in") };
        assert_eq!(status.code(), Code::FailedPrecondition, "{number}: {status:?}");
        let words = ["time that never was", "which nobody can", "are allowed", "more points"];
        assert!(words.iter().any(|words| status.message().contains(words)), "{number}: {status:?}");
    }
    for (what, bytes) in forged {
        let refused = new.take_in(&bytes).await;
        let Err(status) = refused else { panic!("{what} was taken in") };
        assert_eq!(status.code(), Code::FailedPrecondition, "{what}: {status:?}");
        assert!(status.message().len() < 1000, "{what}: {status:?}");
    }
    check_untouched(daemon, &["default", "other"]).await;
}

/// A JPEG.
fn picture_of(width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]));
    encoded(&image::DynamicImage::ImageRgb8(picture), image::ImageFormat::Jpeg)
}

/// What is deleted while an export runs is left out, and what remains fits together.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_whatever_goes_meanwhile() {
    let daemon = TestDaemon::start().await;
    let ids = daemon.add_new(groups(0..60, 10)).await;
    let seen: Vec<&str> = ids.values().take(40).map(String::as_str).collect();
    daemon.judge(proto::Side::Keep, &seen).await.unwrap();
    let request = proto::ExportCollectionRequest::default();
    let mut pieces = daemon.collections().export_collection(request).await.unwrap().into_inner();
    // The rest of it waits until the first piece is read.
    let mut bytes = pieces.message().await.unwrap().unwrap().data;
    for id in ids.values().rev().step_by(7).chain(ids.values().take(5)) {
        drop(daemon.delete(ids_filter(&[id])).await);
    }
    daemon.add("late", picture(99, 1)).await.unwrap();
    while let Some(piece) = pieces.message().await.unwrap() {
        bytes.extend(piece.data);
    }
    let there = TestDaemon::start().await;
    there.take_in(&bytes).await.unwrap();
    assert_eq!(there.stats().await.events, 1);
    let left: Vec<String> = there.list().await.into_iter().map(|image| image.image_id).collect();
    assert!(left.len() >= 500 && !left.contains(&id_of(&picture(99, 1))));
    for api in [&*daemon, &*there] {
        let some = api.list().await.into_iter().map(|image| image.image_id).filter(|id| left.contains(id));
        assert!(some.count() >= 500);
    }
    check_untouched(there, &["default"]).await;
}

/// Wherever an import breaks off, there is nothing of it; once it is acknowledged, all.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_leaves_nothing() {
    let daemon = TestDaemon::start().await;
    let ids = daemon.add_new(groups(0..20, 10)).await;
    daemon.judge(proto::Side::Keep, &[&ids["1/0"], &ids["2/0"]]).await.unwrap();
    let export = daemon.export().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // The collection, two parts of images, the log, its history, and that it is there.
    for (place, passes, there) in [
        ("import/asked", 1, false),
        ("import/stored", 1, false),
        ("import/stored", 2, false),
        ("import/asked", 3, false),
        ("import/stored", 4, false),
        ("import/asked", 6, false),
        ("import/stored", 6, true),
    ] {
        let place = format!("{place}:{passes}");
        let mut served = Served::try_start(&data, "fsync", 512, Some(place.clone())).await.unwrap();
        served.api.at("cars").take_in(&export).await.unwrap_err();
        served.wait();
        let served = Served::start(&data, "fsync").await;
        let names = served.api.names().await;
        assert_eq!(names.contains(&"cars".to_owned()), there, "{place}: {names:?}");
        served.terminate();
        assert!(served.ended().await.success());
        check_store(&data);
    }
    let served = Served::start(&data, "fsync").await;
    assert_eq!(decisions(&served.api.at("cars")).await.0, decisions(&daemon).await.0);
}

fn check_store(data: &Path) {
    let verified = run(&["verify", "--data", path(data)]);
    assert!(verified.status.success(), "{verified:?}");
}
