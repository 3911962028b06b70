//! A source is a key at a URI: where an image was seen, and what a key means that was seen in several places.

use culld::proto;
use culld::proto::{AddCause, AddStatus};

use crate::support::{Api, TestDaemon, id_of, new_image, picture};

/// Adds an image seen under a key at a URI; answers its id.
async fn add_at(api: &Api, key: &str, uri: &str, data: Vec<u8>) -> String {
    let image = Some(proto::NewImage { uri: uri.to_owned(), ..new_image(key, data) });
    let request = proto::AddImageRequest { collection: api.collection.clone(), image, ..Default::default() };
    let outcome = api.images().add_image(request).await.unwrap().into_inner().outcome.unwrap();
    assert!(matches!(outcome.status(), AddStatus::Added | AddStatus::AlreadyPresent), "{outcome:?}");
    outcome.image_id
}

/// Asserts what a key means: the image decided, the images it may be.
async fn check_key(api: &Api, key: &str, decided: &[&str], ambiguous: &[&str]) {
    let request = proto::BatchGetDecisionsRequest {
        collection: api.collection.clone(),
        source_keys: vec![key.to_owned()],
        ..Default::default()
    };
    let found = api.decisions().batch_get_decisions(request).await.unwrap().into_inner();
    let images: Vec<_> = found.decisions.iter().map(|one| one.image_id.as_str()).collect();
    let among: Vec<_> = found.ambiguous.iter().flat_map(|one| &one.image_ids).map(String::as_str).collect();
    assert_eq!((images.as_slice(), among.as_slice()), (decided, ambiguous), "{key}");
    assert_eq!(found.unknown.len(), usize::from(decided.is_empty() && ambiguous.is_empty()), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_a_key_at_a_uri() {
    let daemon = TestDaemon::start().await;
    let same = id_of(&picture(1, 0));
    for uri in ["file:///a/same.png", "file:///b/same.png", "file:///a/same.png", ""] {
        add_at(&daemon, "same.png", uri, picture(1, 0)).await;
    }
    let places = |image: &proto::Image| -> Vec<String> {
        image.sources.iter().map(|source| source.uri.clone()).collect()
    };
    let last_seen_last = ["file:///b/same.png", "file:///a/same.png", ""];
    assert_eq!(places(&daemon.image(&same).await.unwrap()), last_seen_last);
    assert_eq!(daemon.stats().await.sources, 3);
    check_key(&daemon, "same.png", &[&same], &[]).await;
    let daemon = daemon.restarted().await;
    assert_eq!(places(&daemon.image(&same).await.unwrap()), last_seen_last);
    assert_eq!(daemon.stats().await.sources, 3);
    let filter = proto::ImageFilter { source_prefix: "same".into(), ..Default::default() };
    let deleted = daemon.delete(filter).await.unwrap();
    assert_eq!((deleted.images, deleted.sources), (1, 3));
    check_key(&daemon, "same.png", &[], &[]).await;
    assert_eq!(daemon.stats().await.sources, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_different_images_names_none_of_them() {
    let daemon = TestDaemon::start().await;
    let key = "IMG_1.png";
    let first = add_at(&daemon, key, "file:///a/IMG_1.png", picture(1, 0)).await;
    let second = add_at(&daemon, key, "file:///b/IMG_1.png", picture(2, 0)).await;
    check_key(&daemon, key, &[], &[&second, &first]).await;
    let label =
        proto::TrueLabel { image: Some(proto::true_label::Image::SourceKey(key.into())), needed: true };
    let request = proto::EvaluateRequest { labels: vec![label], ..Default::default() };
    let evaluated = daemon.decisions().evaluate(request).await.unwrap().into_inner();
    assert_eq!((evaluated.unknown, evaluated.true_positive), (1, 0));
    // Another picture in the place of the first one: that place means the new one.
    let third = add_at(&daemon, key, "file:///a/IMG_1.png", picture(3, 0)).await;
    check_key(&daemon, key, &[], &[&third, &second]).await;
    // The same picture in both places is one picture.
    add_at(&daemon, key, "file:///b/IMG_1.png", picture(3, 0)).await;
    check_key(&daemon, key, &[&third], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_did_not_change_take_new_tags() {
    let daemon = TestDaemon::with(|config| {
        let root = config.data.parent().unwrap().join("pictures");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("one.png"), picture(8, 0)).unwrap();
        config.allowed_roots = vec![std::fs::canonicalize(root).unwrap()];
    })
    .await;
    let root = std::fs::canonicalize(daemon.folder().join("pictures")).unwrap();
    let id = id_of(&picture(8, 0));
    let mut last_seen = None;
    for (tags, is_news) in [(vec!["one"], true), (vec!["one"], false), (vec!["two"], true), (vec![], true)] {
        let request = proto::ImportSourcesRequest {
            paths: vec![root.to_str().unwrap().to_owned()],
            tags: tags.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let operation = daemon.images().import_sources(request).await.unwrap().into_inner().operation;
        daemon.wait(&operation.unwrap().name).await.unwrap();
        let source = daemon.image(&id).await.unwrap().sources.remove(0);
        assert_eq!(source.tags, tags);
        // What did not change is not even read.
        assert!(is_news || source.last_seen_time == last_seen, "{tags:?}");
        last_seen = source.last_seen_time;
    }
    assert_eq!(daemon.stats().await.sources, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_too_many_says_what_happened() {
    let daemon = TestDaemon::start().await;
    let copies = |from: u32, to: u32| (from..to).map(|copy| (copy.to_string(), picture(1, 0))).collect();
    daemon.add_all(copies(0, 1000)).await.unwrap();
    assert_eq!(daemon.stats().await.sources, 1000);
    let outcome = daemon.add_all(copies(1000, 1001)).await.unwrap().remove("1000").unwrap();
    assert_eq!((outcome.status(), outcome.cause()), (AddStatus::Rejected, AddCause::TooManySources));
    assert!(outcome.detail.contains("is stored") && outcome.detail.contains("1000"), "{outcome:?}");
    assert_eq!(outcome.image_id, id_of(&picture(1, 0)));
    // A place that is known is no new one, and room is made by deleting.
    assert_eq!(daemon.add("7", picture(1, 0)).await.unwrap().status(), AddStatus::AlreadyPresent);
    let filter = proto::ImageFilter { source_prefix: "99".into(), ..Default::default() };
    daemon.delete(filter).await.unwrap();
    assert_eq!(daemon.add("1000", picture(1, 0)).await.unwrap().status(), AddStatus::AlreadyPresent);
}
