//! Near-duplicates: found in groups, and stopped at the door where their original was seen and discarded.

use std::collections::{BTreeMap, HashMap};

use culld::config::ModelSetting;
use culld::proto::{self, DecisionKind, DecisionReason, Side};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tonic::{Code, Status};

use crate::support::{
    Api, TestDaemon, check_error, dbscan, encoded, groups, id_of, ids_filter, k_means, picture, png,
    shared_data,
};

/// A picture of waves, another one for each number.
fn waves(number: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let turn = f64::from(number) * 1.7;
        let wave = |a: f64, b: f64| 127.0 + 100.0 * (a * u + b * v * v + turn).sin();
        Rgb([
            wave(9.0 + turn, 4.0) as u8,
            wave(5.0, 11.0 - turn) as u8,
            wave(14.0 * (u + turn).cos(), 7.0) as u8,
        ])
    })
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Jpeg)
}

fn half(picture: &RgbImage) -> RgbImage {
    imageops::resize(picture, picture.width() / 2, picture.height() / 2, FilterType::CatmullRom)
}

/// The same pixels in another file.
fn bmp(picture: &RgbImage) -> Vec<u8> {
    encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Bmp)
}

/// Half as large, with a black line below.
fn captioned(picture: &RgbImage) -> RgbImage {
    let mut small = half(picture);
    let (width, height) = small.dimensions();
    for y in height - height / 20..height {
        (0..width).for_each(|x| small.put_pixel(x, y, Rgb([0; 3])));
    }
    small
}

async fn add(api: &Api, key: &str, bytes: Vec<u8>) -> proto::AddOutcome {
    let outcome = api.add(key, bytes).await.unwrap();
    assert_eq!(outcome.status(), proto::AddStatus::Added, "{outcome:?}");
    outcome
}

async fn find(
    api: &Api,
    request: proto::FindDuplicatesRequest,
) -> Result<proto::FindDuplicatesResponse, Status> {
    let request = proto::FindDuplicatesRequest { collection: api.collection.clone(), ..request };
    Ok(api.images().find_duplicates(request).await?.into_inner())
}

async fn explain(api: &Api, image_id: &str) -> proto::ExplainDecisionResponse {
    let request =
        proto::ExplainDecisionRequest { collection: api.collection.clone(), image_id: image_id.to_owned() };
    api.decisions().explain_decision(request).await.unwrap().into_inner()
}

fn is_stopped(decision: &proto::Decision) -> bool {
    (decision.decision(), decision.reason()) == (DecisionKind::Discard, DecisionReason::NearDuplicate)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_and_discarded_is_stopped_at_the_door() {
    let daemon = TestDaemon::start().await;
    let original = add(&daemon, "original", png(&waves(1, 320, 240))).await.image_id;
    let here_before = add(&daemon, "here before", bmp(&waves(1, 320, 240))).await.image_id;
    daemon.judge(Side::Discard, &[&original]).await.unwrap();
    // What was there already feels it as what comes.
    assert!(is_stopped(&daemon.decision(&here_before).await));
    let variant = add(&daemon, "variant", png(&captioned(&waves(1, 320, 240)))).await;
    assert!(is_stopped(variant.decision.as_ref().unwrap()), "{variant:?}");
    let other = add(&daemon, "other", png(&waves(2, 320, 240))).await;
    assert!(!is_stopped(other.decision.as_ref().unwrap()), "{other:?}");

    let told = explain(&daemon, &variant.image_id).await;
    let decision = told.decision.unwrap();
    let twin = decision.evidence.unwrap().duplicate_discard.unwrap();
    assert_eq!(twin.image_id, original);
    assert!(twin.distance < 0.2 && twin.hash_distance < 0.3, "{twin:?}");
    let rule = told.rules.iter().find(|rule| rule.starts_with("near-duplicate")).unwrap();
    assert!(rule.contains(&original) && rule.contains("hash distance 0."), "{rule}");
    assert!(decision.detail.contains(&original), "{}", decision.detail);

    // A look at the image itself decides; a kept image that is nearer does as well.
    daemon.judge(Side::Keep, &[&variant.image_id]).await.unwrap();
    assert_eq!(daemon.decision(&variant.image_id).await.reason(), DecisionReason::SeenLabel);
    let again = add(&daemon, "again", bmp(&captioned(&waves(1, 320, 240)))).await;
    assert!(!is_stopped(again.decision.as_ref().unwrap()), "{again:?}");
    assert!(is_stopped(&daemon.decision(&here_before).await), "it is nearer to the discarded one");
    let told = explain(&daemon, &again.image_id).await.decision.unwrap().evidence.unwrap();
    assert_eq!(told.duplicate_keep.unwrap().image_id, variant.image_id);
    // The last word counts.
    daemon.judge(Side::Keep, &[&original]).await.unwrap();
    assert!(!is_stopped(&daemon.decision(&here_before).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_look_at_the_image_stops_others() {
    let daemon = TestDaemon::start().await;
    let first = add(&daemon, "first", png(&waves(1, 320, 240))).await.image_id;
    let second = add(&daemon, "second", png(&waves(2, 320, 240))).await.image_id;
    let third = add(&daemon, "third", png(&waves(3, 320, 240))).await.image_id;
    // Implied: its cluster was discarded, nobody looked at it.
    daemon.recluster(k_means(3)).await;
    let cluster = daemon.cluster_of(&first).await;
    daemon.judge_cluster(Side::Discard, cluster, &[]).await.unwrap();
    let variant = add(&daemon, "variant 1", jpeg(&waves(1, 320, 240))).await;
    assert!(!is_stopped(variant.decision.as_ref().unwrap()), "{variant:?}");
    // Discarded as a duplicate: says nothing of the picture.
    let request = proto::SetVerdictRequest {
        side: Side::Discard.into(),
        target: Some(proto::set_verdict_request::Target::Images(proto::ImagesTarget {
            image_ids: vec![second.clone()],
        })),
        duplicate_of_image_id: third.clone(),
        ..Default::default()
    };
    daemon.decisions().set_verdict(request).await.unwrap();
    let variant = add(&daemon, "variant 2", jpeg(&waves(2, 320, 240))).await;
    assert!(!is_stopped(variant.decision.as_ref().unwrap()), "{variant:?}");
    // A look turns both into originals.
    daemon.judge(Side::Discard, &[&first, &second]).await.unwrap();
    for number in [1, 2] {
        let variant = add(&daemon, "small", png(&half(&waves(number, 320, 240)))).await;
        assert!(is_stopped(variant.decision.as_ref().unwrap()), "{variant:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_outlive_deletion() {
    let mut daemon = TestDaemon::start().await;
    let discarded = add(&daemon, "discarded", png(&waves(1, 320, 240))).await.image_id;
    let kept = add(&daemon, "kept", png(&half(&waves(2, 320, 240)))).await.image_id;
    let rejected = add(&daemon, "rejected", png(&waves(2, 320, 240))).await.image_id;
    let waiting = add(&daemon, "waiting", jpeg(&waves(1, 320, 240))).await.image_id;
    daemon.judge(Side::Discard, &[&discarded, &rejected]).await.unwrap();
    daemon.judge(Side::Keep, &[&kept]).await.unwrap();
    daemon.delete(ids_filter(&[&discarded, &kept, &rejected])).await.unwrap();
    for restart in [false, true] {
        if restart {
            daemon = daemon.restarted().await;
        }
        assert!(is_stopped(&daemon.decision(&waiting).await), "restarted: {restart}");
        let size = if restart { 160 } else { 200 };
        let variant = add(&daemon, "1", png(&waves(1, size, size * 3 / 4))).await;
        assert!(is_stopped(variant.decision.as_ref().unwrap()), "restarted: {restart}, {variant:?}");
        // The bytes that were kept are gone, and still hold the others off.
        let variant = add(
            &daemon,
            "2",
            jpeg(&imageops::resize(&half(&waves(2, 320, 240)), size, 120, FilterType::Nearest)),
        )
        .await;
        let evidence = explain(&daemon, &variant.image_id).await.decision.unwrap().evidence.unwrap();
        assert_eq!(evidence.duplicate_discard.unwrap().image_id, rejected);
        assert_eq!(evidence.duplicate_keep.unwrap().image_id, kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_says_how_near() {
    let daemon = TestDaemon::start().await;
    let original = add(&daemon, "original", png(&waves(1, 320, 240))).await.image_id;
    let variant = add(&daemon, "variant", jpeg(&half(&waves(1, 320, 240)))).await.image_id;
    daemon.judge(Side::Discard, &[&original]).await.unwrap();
    let set = async |distance: f64, hash_distance: f64| {
        let policy = proto::Policy {
            duplicate_distance: Some(distance),
            duplicate_hash_distance: Some(hash_distance),
            ..Default::default()
        };
        let request = proto::SetPolicyRequest { policy: Some(policy), ..Default::default() };
        daemon.collections().set_policy(request).await.map(drop)
    };
    assert!(is_stopped(&daemon.decision(&variant).await));
    set(0.0, 0.3).await.unwrap();
    assert!(!is_stopped(&daemon.decision(&variant).await), "turned off");
    let nothing = proto::FindDuplicatesRequest::default();
    check_error(
        find(&daemon, nothing.clone()).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "duplicate_distance",
    );
    let asked = proto::FindDuplicatesRequest { distance: Some(0.5), ..nothing.clone() };
    assert_eq!(find(&daemon, asked).await.unwrap().total_groups, 1, "what the call says goes");
    set(1e-9, 0.3).await.unwrap();
    assert!(!is_stopped(&daemon.decision(&variant).await), "too far");
    set(0.8, 0.3).await.unwrap();
    assert!(is_stopped(&daemon.decision(&variant).await));
    check_error(set(-0.1, 0.3).await, Code::InvalidArgument, "INVALID_FIELD", "policy.duplicate_distance");
    check_error(
        set(0.8, 0.0).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "policy.duplicate_hash_distance",
    );
    let rows = [
        (Some(0.0), None, "distance"),
        (Some(2.1), None, "distance"),
        (None, Some(f64::NAN), "hash_distance"),
    ];
    for (distance, hash_distance, field) in rows {
        let request = proto::FindDuplicatesRequest { distance, hash_distance, ..nothing.clone() };
        check_error(find(&daemon, request).await, Code::InvalidArgument, "INVALID_FIELD", field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_has_most_pixels_then_bytes_then_age() {
    let daemon = TestDaemon::start().await;
    let (mut ids, mut order) = (HashMap::new(), Vec::new());
    let pixels = waves(1, 320, 240);
    let pictures = [
        ("1 small", png(&half(&pixels))),
        ("1 first", jpeg(&pixels)),
        ("1 most bytes", png(&pixels)),
        ("2 first", png(&waves(2, 200, 200))),
        ("2 second", png(&half(&waves(2, 200, 200)))),
        ("3 alone", png(&waves(3, 320, 240))),
        ("blank", png(&RgbImage::from_pixel(64, 64, Rgb([9, 80, 9])))),
        ("blank, too", png(&RgbImage::from_pixel(96, 64, Rgb([9, 80, 9])))),
    ];
    for (key, bytes) in pictures {
        let id = add(&daemon, key, bytes).await.image_id;
        ids.insert(id.clone(), key);
        order.push(id);
    }
    let all = find(&daemon, proto::FindDuplicatesRequest::default()).await.unwrap();
    let keys = |group: &proto::DuplicateGroup| {
        group.members.iter().map(|member| ids[&member.image_id]).collect::<Vec<_>>()
    };
    let groups: Vec<_> = all.groups.iter().map(keys).collect();
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert_eq!((groups[0][0], groups[0].len()), ("1 most bytes", 3));
    assert_eq!(groups[1], ["2 first", "2 second"]);
    assert_eq!((all.compared, all.without_hash, all.total_groups), (6, 2, 2));
    let [first, second] = &all.groups[..] else { panic!("{all:?}") };
    assert!(
        first.reason.contains("most bytes") && second.reason.contains("most pixels, 200 x 200"),
        "{all:?}"
    );
    assert_eq!((first.members[0].distance, first.members[0].hash_distance, first.size), (0.0, 0.0, 3));
    assert_eq!((first.members[0].width_px, first.members[0].height_px), (320, 240));

    // Pages, and what ends them.
    let page = |page_token: String| {
        find(&daemon, proto::FindDuplicatesRequest { page_size: 1, page_token, ..Default::default() })
    };
    let one = page(String::new()).await.unwrap();
    let two = page(one.next_page_token.clone()).await.unwrap();
    assert_eq!([one.groups.clone(), two.groups].concat(), all.groups);
    assert_eq!(two.next_page_token, "");
    add(&daemon, "new", png(&waves(4, 100, 100))).await;
    let stale = page(one.next_page_token).await;
    check_error(stale, Code::FailedPrecondition, "GENERATION_CHANGED", "");

    // Among some only.
    let filter = Some(ids_filter(&[&order[0], &order[1], &order[3]]));
    let some = find(&daemon, proto::FindDuplicatesRequest { filter, ..Default::default() }).await.unwrap();
    assert_eq!(some.groups.iter().map(keys).collect::<Vec<_>>(), [["1 first", "1 small"]]);
}

/// A picture of the near-duplicate set: file, group, variant, bytes.
type Variant = (String, String, String, Vec<u8>);

fn near_duplicates() -> Option<Vec<Variant>> {
    let folder = shared_data()?.join("neardup");
    let labels = std::fs::read_to_string(folder.join("labels.csv")).unwrap();
    let row = |line: &str| {
        let [file, group, variant] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = std::fs::read(folder.join("images").join(file)).unwrap();
        (file.to_owned(), group.to_owned(), variant.to_owned(), bytes)
    };
    Some(labels.lines().skip(1).map(row).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn near_duplicates_of_photographs_are_found() {
    let Some(rows) = near_duplicates() else { return };
    let daemon = TestDaemon::with(|config| config.model = ModelSetting::BuiltIn).await;
    let images = rows.iter().map(|(file, _, _, bytes)| (file.clone(), bytes.clone())).collect();
    let outcomes = daemon.add_all(images).await.unwrap();
    // Byte-identical files are one image, of the group and variant of the first.
    let mut known = BTreeMap::new();
    for (file, group, variant, _) in &rows {
        known.entry(outcomes[file].image_id.clone()).or_insert((group, variant));
    }
    let request = proto::FindDuplicatesRequest { page_size: 1000, ..Default::default() };
    let found = find(&daemon, request).await.unwrap();
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (number, group) in found.groups.iter().enumerate() {
        group_of.extend(group.members.iter().map(|member| (member.image_id.as_str(), number)));
    }
    let (mut both, mut told, mut same) = (0, 0, 0);
    let mut missed: BTreeMap<String, u32> = BTreeMap::new();
    let plain: Vec<_> = known.iter().filter(|(_, (_, variant))| *variant != "flip").collect();
    for (at, (a, (group_a, variant_a))) in plain.iter().enumerate() {
        for (b, (group_b, variant_b)) in &plain[at + 1..] {
            let positive = group_a == group_b;
            let together =
                group_of.get(a.as_str()).is_some_and(|group| group_of.get(b.as_str()) == Some(group));
            same += u32::from(positive);
            told += u32::from(together);
            both += u32::from(positive && together);
            if positive && !together {
                *missed.entry(format!("{variant_a}-{variant_b}")).or_default() += 1;
            }
        }
    }
    let (precision, recall) = (f64::from(both) / f64::from(told), f64::from(both) / f64::from(same));
    eprintln!(
        "near-duplicates: {same} pairs, precision {precision:.4}, recall {recall:.4}, missed {missed:?}"
    );
    assert!(precision >= 0.99 && recall >= 0.95, "precision {precision}, recall {recall}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_photographs_are_stopped_at_the_door() {
    let Some(rows) = near_duplicates() else { return };
    let daemon = TestDaemon::with(|config| config.model = ModelSetting::BuiltIn).await;
    let originals: Vec<_> = rows.iter().filter(|row| row.2 == "orig").collect();
    let images = originals.iter().map(|(file, _, _, bytes)| (file.clone(), bytes.clone())).collect();
    let added = daemon.add_all(images).await.unwrap();
    let mut sides: HashMap<&str, Side> = HashMap::new();
    for (number, (file, group, _, _)) in originals.iter().enumerate() {
        let side = if number % 2 == 0 { Side::Discard } else { Side::Keep };
        sides.insert(group, side);
        daemon.judge(side, &[&added[file].image_id]).await.unwrap();
    }
    let variants = rows.iter().filter(|row| row.2 != "orig" && sides.contains_key(row.1.as_str()));
    let images = variants.clone().map(|(file, _, _, bytes)| (file.clone(), bytes.clone())).collect();
    let outcomes = daemon.add_all(images).await.unwrap();
    // By variant: stopped of the discarded ones, by rule 2, and of the kept ones.
    let mut counts: BTreeMap<&str, [u32; 5]> = BTreeMap::new();
    for (file, group, variant, _) in variants {
        let outcome = &outcomes[file];
        if outcome.status() == proto::AddStatus::AlreadyPresent {
            continue;
        }
        let decision = outcome.decision.as_ref().unwrap();
        let counts = counts.entry(variant).or_default();
        let stopped = u32::from(decision.decision() == DecisionKind::Discard);
        if sides[group.as_str()] == Side::Discard {
            counts[0] += 1;
            counts[1] += stopped;
            counts[2] += u32::from(is_stopped(decision));
        } else {
            counts[3] += 1;
            counts[4] += stopped;
        }
    }
    eprintln!("variant: of discarded, stopped, by rule 2, of kept, stopped: {counts:?}");
    let sum = |at: usize| {
        counts.iter().filter(|(variant, _)| **variant != "flip").map(|(_, counts)| counts[at]).sum::<u32>()
    };
    assert!(f64::from(sum(2)) >= 0.9 * f64::from(sum(0)), "{counts:?}");
    assert_eq!(sum(4), 0, "{counts:?}");
}

/// What was discarded as a duplicate says nothing of what it is a duplicate of, nor of others like it.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_take_nobody_with_them() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 5)).await;
    daemon.recluster(dbscan(0.1)).await;
    daemon.judge(Side::Keep, &[&id_of(&picture(2, 0))]).await.unwrap();
    let of = |items: &[u64]| -> Vec<String> { items.iter().map(|&item| id_of(&picture(1, item))).collect() };
    let discard = |copies: Vec<String>, original: &str| proto::SetVerdictRequest {
        side: Side::Discard.into(),
        target: Some(proto::set_verdict_request::Target::Images(proto::ImagesTarget { image_ids: copies })),
        duplicate_of_image_id: original.to_owned(),
        ..Default::default()
    };
    let original = id_of(&picture(1, 0));
    daemon.decisions().set_verdict(discard(of(&[1, 2, 3]), &original)).await.unwrap();
    for id in [original.clone(), id_of(&picture(1, 4))] {
        assert_ne!(daemon.decision(&id).await.decision(), proto::DecisionKind::Discard, "{id}");
    }
    // And nothing is a duplicate of what is not kept.
    daemon.judge(Side::Discard, &[&original]).await.unwrap();
    let refused = daemon.decisions().set_verdict(discard(of(&[4]), &original)).await;
    check_error(refused, Code::FailedPrecondition, "ORIGINAL_DISCARDED", "");
}
