//! Verdicts become labels, and labels become decisions for every image, over the wire.

mod kept;

use culld::proto;
use culld::proto::{DecisionKind, DecisionReason, Side};
use tonic::Code;

use crate::support::{
    Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, k_means, new_image, picture,
};

/// What a decision says, in short.
fn said(decision: &proto::Decision) -> (DecisionKind, Side, DecisionReason) {
    (decision.decision(), decision.provisional_side(), decision.reason())
}

#[track_caller]
fn check(decision: &proto::Decision, kind: DecisionKind, side: Side, reason: DecisionReason) {
    assert_eq!(said(decision), (kind, side, reason), "{decision:?}");
}

const KEEP: (DecisionKind, Side) = (DecisionKind::Keep, Side::Keep);
const DISCARD: (DecisionKind, Side) = (DecisionKind::Discard, Side::Discard);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_judged_is_all_review() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 3)).await;
    for decision in daemon.fetch().await.values() {
        check(decision, DecisionKind::Review, Side::Keep, DecisionReason::NothingJudged);
        assert_eq!(decision.confidence, 0.0);
    }
}

/// Three groups of pictures in clusters of their own; keep is said of the first but for one, discard of the second.
async fn judged() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 6)).await;
    let clustering = daemon.recluster(dbscan(0.1)).await;
    assert_eq!((clustering.clusters, clustering.noise), (3, 0));
    let keep = daemon.cluster_of(&id_of(&picture(1, 0))).await;
    let said = daemon.judge_cluster(Side::Keep, keep, &[&id_of(&picture(1, 5))]).await.unwrap();
    assert_eq!((said.labelled, said.exceptions), (5, 1));
    assert!(said.changed >= 6, "the members, and others whose provisional side is another: {}", said.changed);
    let discard = daemon.cluster_of(&id_of(&picture(2, 0))).await;
    let said = daemon.judge_cluster(Side::Discard, discard, &[]).await.unwrap();
    assert_eq!((said.labelled, said.exceptions), (6, 0));
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_on_a_cluster_labels_its_members() {
    let daemon = judged().await;
    let decisions = daemon.fetch().await;
    let of = |group, item| &decisions[&id_of(&picture(group, item))];
    for item in 0..5 {
        check(of(1, item), KEEP.0, KEEP.1, DecisionReason::ImpliedLabel);
        let probability = of(1, item).evidence.as_ref().unwrap().keep_probability;
        assert_eq!(probability, Some(of(1, item).confidence), "the classifier's word for the side");
    }
    check(of(1, 5), DISCARD.0, DISCARD.1, DecisionReason::SeenLabel);
    (0..6).for_each(|item| check(of(2, item), DISCARD.0, DISCARD.1, DecisionReason::ImpliedLabel));
    for item in 0..6 {
        assert_eq!(
            (of(3, item).decision(), of(3, item).reason()),
            (DecisionKind::Review, DecisionReason::TooFar)
        );
    }
    let full = of(1, 0);
    let evidence = full.evidence.as_ref().unwrap();
    assert_eq!((evidence.event_sequence, evidence.label_seen), (Some(2), false), "after the activation");
    assert_eq!(full.source_keys, ["1/0"]);
    assert!(full.detail.contains("implied keep by event 2"), "{}", full.detail);
    let cluster =
        daemon.clusters(0).await.into_iter().find(|one| Some(one.cluster_id) == evidence.cluster_id);
    let cluster = cluster.unwrap();
    assert_eq!((cluster.labelled_keep, cluster.labelled_discard), (5, 1));
    let stats = daemon.stats().await;
    assert_eq!((stats.labelled_keep, stats.labelled_discard, stats.bulk_verdicts), (5, 7, 2));
    assert_eq!((stats.decided_keep, stats.decided_discard, stats.in_review), (5, 7, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seen_word_wins_and_implied_never_overturns_it() {
    let daemon = judged().await;
    let (first, exception) = (id_of(&picture(1, 0)), id_of(&picture(1, 5)));
    let cluster = daemon.cluster_of(&first).await;
    // The image itself was looked at: no word on its cluster changes it.
    daemon.judge_cluster(Side::Keep, cluster, &[]).await.unwrap();
    check(&daemon.decision(&exception).await, DISCARD.0, DISCARD.1, DecisionReason::SeenLabel);
    daemon.judge(Side::Keep, &[&exception]).await.unwrap();
    check(&daemon.decision(&exception).await, KEEP.0, KEEP.1, DecisionReason::SeenLabel);
    daemon.judge_cluster(Side::Discard, cluster, &[]).await.unwrap();
    check(&daemon.decision(&exception).await, KEEP.0, KEEP.1, DecisionReason::SeenLabel);
    check(&daemon.decision(&first).await, DISCARD.0, DISCARD.1, DecisionReason::ImpliedLabel);
    daemon.judge_cluster(Side::Keep, cluster, &[]).await.unwrap();
    check(&daemon.decision(&first).await, KEEP.0, KEEP.1, DecisionReason::ImpliedLabel);
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_members() {
    let daemon = judged().await;
    let (inside, outside) = (id_of(&picture(1, 0)), id_of(&picture(2, 0)));
    let cluster = daemon.cluster_of(&inside).await;
    let before = daemon.fetch().await;
    let stranger = daemon.judge_cluster(Side::Keep, cluster, &[&outside]).await;
    check_error(stranger, Code::InvalidArgument, "INVALID_FIELD", "exception_image_ids");
    assert_eq!(daemon.fetch().await, before, "nothing of a refused verdict is felt");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_judged_like_a_cluster() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 5)).await;
    daemon.add_new(groups(10..13, 1)).await;
    assert_eq!(daemon.recluster(dbscan(0.1)).await.noise, 3);
    let said = daemon.judge_cluster(Side::Discard, None, &[&id_of(&picture(11, 0))]).await.unwrap();
    assert_eq!((said.labelled, said.exceptions), (2, 1));
    check(
        &daemon.decision(&id_of(&picture(10, 0))).await,
        DISCARD.0,
        DISCARD.1,
        DecisionReason::ImpliedLabel,
    );
    check(&daemon.decision(&id_of(&picture(11, 0))).await, KEEP.0, KEEP.1, DecisionReason::SeenLabel);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_images_are_decided_as_they_arrive() {
    let daemon = judged().await;
    let arrives = async |group, item| {
        let outcome = daemon.add("new", picture(group, item)).await.unwrap();
        let (told, asked) = (outcome.decision.unwrap(), daemon.decision(&outcome.image_id).await);
        assert_eq!(said(&told), said(&asked), "what is told on arrival holds");
        told
    };
    check(&arrives(2, 50).await, DISCARD.0, DISCARD.1, DecisionReason::StandingVerdict);
    let unknown = arrives(9, 0).await;
    assert_eq!((unknown.decision(), unknown.reason()), (DecisionKind::Review, DecisionReason::TooFar));
    // Its group holds both sides, within the margin of each other.
    let between = arrives(1, 50).await;
    assert_eq!(between.decision(), DecisionKind::Review);
    assert_eq!(between.reason(), DecisionReason::NeighboursDisagree);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_discarded_while_only_discard_was_judged() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 4)).await;
    // Pictures of one group are near-duplicates as well, which is not what this is about.
    let policy = Some(proto::Policy { duplicate_distance: Some(0.0), ..Default::default() });
    let request = proto::SetPolicyRequest { policy, ..Default::default() };
    daemon.collections().set_policy(request).await.unwrap();
    daemon.judge(Side::Discard, &[&id_of(&picture(1, 0))]).await.unwrap();
    let alike = daemon.decision(&id_of(&picture(1, 1))).await;
    check(&alike, DecisionKind::Review, Side::Discard, DecisionReason::OneSideJudged);
    let of = |group, items: &[u64]| -> Vec<String> {
        items.iter().map(|&item| id_of(&picture(group, item))).collect()
    };
    let (keep, discard) = (of(2, &[0, 1, 2, 3]), of(1, &[2, 3]));
    daemon.judge(Side::Keep, &keep.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    daemon.judge(Side::Discard, &discard.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    let alike = daemon.decision(&id_of(&picture(1, 1))).await;
    check(&alike, DISCARD.0, DISCARD.1, DecisionReason::StandingVerdict);
    let other = TestDaemon::start().await;
    other.add_new(groups(1..3, 4)).await;
    other.judge(Side::Keep, &[&id_of(&picture(1, 0))]).await.unwrap();
    check(&other.decision(&id_of(&picture(1, 1))).await, KEEP.0, KEEP.1, DecisionReason::StandingVerdict);
}

#[tokio::test(flavor = "multi_thread")]
async fn reclustering_keeps_labels_and_a_rerun_opens_nothing() {
    let daemon = judged().await;
    daemon.add_new(vec![("late".into(), picture(2, 60))]).await;
    let before = daemon.fetch().await;
    let clusters = daemon.clusters(0).await;
    daemon.recluster(dbscan(0.1)).await;
    let after = daemon.fetch().await;
    for (image, decision) in &before {
        let (was, is) = (said(decision), said(&after[image]));
        assert_eq!((was.0, was.1), (is.0, is.1), "{decision:?} became {:?}", after[image]);
    }
    let late = &after[&id_of(&picture(2, 60))];
    check(late, DISCARD.0, DISCARD.1, DecisionReason::Inherited);
    assert!(late.evidence.as_ref().unwrap().event_sequence.is_none(), "an inherited side is no label");
    let ids = |clusters: &[proto::Cluster]| -> std::collections::BTreeSet<_> {
        clusters.iter().map(|cluster| cluster.cluster_id).collect()
    };
    assert_eq!(ids(&daemon.clusters(0).await), ids(&clusters), "clusters keep their ids");
    let once = daemon.fetch().await;
    daemon.recluster(dbscan(0.1)).await;
    let twice = daemon.fetch().await;
    for (image, decision) in &once {
        assert_eq!(said(decision), said(&twice[image]));
        assert_eq!(decision.confidence, twice[image].confidence);
    }
    assert_eq!(ids(&daemon.clusters(0).await), ids(&clusters));
    // Quite another clustering changes no label.
    daemon.recluster(k_means(2)).await;
    for (image, decision) in daemon.fetch().await {
        let label = |one: &proto::Decision| one.evidence.as_ref().unwrap().event_sequence;
        assert_eq!(label(&decision), label(&before[&image]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_felt_at_once() {
    let daemon = judged().await;
    let alike = daemon.add("new", picture(2, 50)).await.unwrap().image_id;
    let far = daemon.add("far", picture(9, 0)).await.unwrap().image_id;
    assert_eq!(daemon.decision(&alike).await.decision(), DecisionKind::Discard);
    let set = async |policy| {
        let request = proto::SetPolicyRequest { policy: Some(policy), ..Default::default() };
        daemon.collections().set_policy(request).await.unwrap().into_inner().policy.unwrap()
    };
    let strict = proto::Policy { standing_margin: Some(2.0), ..Default::default() };
    let strict = set(strict).await;
    assert_eq!((strict.version, strict.standing_margin, strict.standing_radius), (2, Some(2.0), Some(0.25)));
    let disputed = daemon.decision(&alike).await;
    assert_eq!(
        (disputed.decision(), disputed.reason()),
        (DecisionKind::Review, DecisionReason::NeighboursDisagree)
    );
    let two = proto::Policy { answer_in_review: DecisionKind::Keep.into(), ..Default::default() };
    assert_eq!(set(two).await.version, 3);
    check(&daemon.decision(&far).await, KEEP.0, KEEP.1, DecisionReason::TooFar);
    assert_eq!(daemon.decision(&far).await.evidence.unwrap().policy_version, 3);
    let daemon = daemon.restarted().await;
    let kept = daemon.collections().get_policy(proto::GetPolicyRequest::default()).await.unwrap();
    assert_eq!(kept.into_inner().policy.unwrap().version, 3);
    check(&daemon.decision(&far).await, KEEP.0, KEEP.1, DecisionReason::TooFar);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_every_rule_and_verdict() {
    let daemon = judged().await;
    let exception = id_of(&picture(1, 5));
    let explain = async |image_id: &str| {
        let request = proto::ExplainDecisionRequest { image_id: image_id.to_owned(), ..Default::default() };
        daemon.decisions().explain_decision(request).await.unwrap().into_inner()
    };
    let seen = explain(&exception).await;
    assert_eq!(seen.decision.unwrap(), daemon.decision(&exception).await);
    assert_eq!(seen.rules, ["seen label: seen discard by event 2"]);
    assert_eq!(seen.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2]);
    assert!(seen.events[0].summary.contains("except 1"), "{:?}", seen.events);
    assert!(seen.medoid.is_some() && seen.policy.is_some() && seen.embedding_space.is_some());
    let unlabelled = explain(&id_of(&picture(3, 0))).await;
    let rules: Vec<_> =
        unlabelled.rules.iter().map(|rule| rule.split(['(', ':']).next().unwrap().trim()).collect();
    let expected = [
        "seen label",
        "near-duplicate",
        "implied label",
        "classifier",
        "inheritance",
        "standing verdict",
        "review",
    ];
    assert_eq!(rules, expected);
    assert!(unlabelled.events.is_empty());
}

fn truth(key: &str, needed: bool) -> proto::TrueLabel {
    proto::TrueLabel { image: Some(proto::true_label::Image::SourceKey(key.to_owned())), needed }
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_measured_against_the_truth() {
    let daemon = judged().await;
    // Of group 1 the daemon keeps five and discards one, which is needed; group 2 it discards.
    let mut labels: Vec<_> = (0..6).map(|item| truth(&format!("1/{item}"), true)).collect();
    labels.extend((0..6).map(|item| truth(&format!("2/{item}"), item == 0)));
    labels.push(truth("no such source", true));
    // Of several labels for one image the last counts.
    labels.insert(0, truth("2/5", true));
    let request = proto::EvaluateRequest { labels: labels.clone(), ..Default::default() };
    let found = daemon.decisions().evaluate(request).await.unwrap().into_inner();
    let counts = [found.true_positive, found.false_positive, found.false_negative, found.true_negative];
    assert_eq!((counts, found.unknown), ([5, 0, 2, 5], 1));
    assert_eq!((found.precision, found.recall), (1.0, 5.0 / 7.0));
    assert!((found.quality_metric - (0.3 + 0.7 * 5.0 / 7.0)).abs() < 1e-12);
    assert!(found.interval_low <= found.quality_metric && found.quality_metric <= found.interval_high);
    assert!(found.interval_low < found.interval_high);
    let savings: Vec<_> = found.savings.iter().map(|row| (row.images, row.saving)).collect();
    assert_eq!(savings, [(100, 5.0), (1000, 185.0), (10_000, 1985.0), (100_000, 19_985.0)]);
    assert_eq!((found.judgements, found.seconds, found.cost, found.decided_share), (2, 20.0, 0.5, 1.0));
    let request = proto::EvaluateRequest { labels, rate_per_hour: Some(-1.0), ..Default::default() };
    let refused = daemon.decisions().evaluate(request).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "rate_per_hour");
}

async fn batch(
    api: &Api,
    image_ids: Vec<String>,
    source_keys: Vec<String>,
) -> proto::BatchGetDecisionsResponse {
    let request = proto::BatchGetDecisionsRequest { image_ids, source_keys, ..Default::default() };
    api.decisions().batch_get_decisions(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_asked_for_by_id_and_source() {
    let daemon = judged().await;
    let stranger = id_of(b"never added");
    let found =
        batch(&daemon, vec![id_of(&picture(2, 1)), stranger.clone()], vec!["1/0".into(), "?".into()]).await;
    let images: Vec<_> = found.decisions.iter().map(|one| one.image_id.clone()).collect();
    assert_eq!(images, [id_of(&picture(2, 1)), id_of(&picture(1, 0))], "ids first, in the order asked");
    assert_eq!(found.unknown, [stranger, "?".into()]);
    assert!(found.decisions[0].evidence.is_none() && found.decisions[0].detail.is_empty(), "BASIC");
    // Another image at the same source: the last seen one answers.
    daemon.add("1/0", picture(2, 70)).await.unwrap();
    let found = batch(&daemon, vec![], vec!["1/0".into()]).await;
    assert_eq!(found.decisions[0].image_id, id_of(&picture(2, 70)));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_decisions() {
    let daemon = judged().await;
    let count = async |filter| {
        let request = proto::FetchDecisionsRequest { filter: Some(filter), ..Default::default() };
        let mut stream = daemon.decisions().fetch_decisions(request).await.unwrap().into_inner();
        let mut count = 0;
        while let Some(message) = stream.message().await.unwrap() {
            count += message.decisions.len();
        }
        count
    };
    let cluster = daemon.cluster_of(&id_of(&picture(3, 0))).await.unwrap();
    let rows = [
        (proto::ImageFilter::default(), 18),
        (proto::ImageFilter { decisions: vec![DecisionKind::Keep.into()], ..Default::default() }, 5),
        (proto::ImageFilter { decisions: vec![1, 3], ..Default::default() }, 11),
        (proto::ImageFilter { source_prefix: "2/".into(), ..Default::default() }, 6),
        (proto::ImageFilter { cluster_ids: vec![cluster], ..Default::default() }, 6),
        (proto::ImageFilter { noise: true, ..Default::default() }, 0),
        (proto::ImageFilter { tags: vec!["none".into()], ..Default::default() }, 0),
        (ids_filter(&[&id_of(&picture(1, 1)), &id_of(b"?")]), 1),
    ];
    for (filter, expected) in rows {
        assert_eq!(count(filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_outlive_deletion_and_everything_a_restart() {
    let daemon = judged().await;
    let (kept, label) = (picture(1, 0), id_of(&picture(1, 0)));
    daemon.delete(ids_filter(&[&label])).await.unwrap();
    // A label is evidence even without its image: this one has no other of its side so near.
    let before = daemon.fetch().await;
    let daemon = daemon.restarted().await;
    assert_eq!(daemon.fetch().await, before);
    let request = proto::AddImageRequest { image: Some(new_image("back", kept)), ..Default::default() };
    let back = daemon.images().add_image(request).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(back.status(), proto::AddStatus::Added);
    check(&back.decision.unwrap(), KEEP.0, KEEP.1, DecisionReason::ImpliedLabel);
    let before = daemon.fetch().await;
    let daemon = daemon.restarted().await.restarted().await;
    assert_eq!(daemon.fetch().await, before);
    assert_eq!(daemon.stats().await.bulk_verdicts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_names_what_is_kept() {
    let daemon = judged().await;
    let verdict = async |side: Side, images: &[String], original: &str| {
        let target = proto::ImagesTarget { image_ids: images.to_vec() };
        let request = proto::SetVerdictRequest {
            side: side.into(),
            target: Some(proto::set_verdict_request::Target::Images(target)),
            duplicate_of_image_id: original.to_owned(),
            note: "the same shot".into(),
            actor: "ann".into(),
            ..Default::default()
        };
        daemon.decisions().set_verdict(request).await
    };
    let (copy, original) = (id_of(&picture(1, 1)), id_of(&picture(1, 0)));
    let field = "duplicate_of_image_id";
    let refused = verdict(Side::Keep, std::slice::from_ref(&copy), &original).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", field);
    let refused = verdict(Side::Discard, std::slice::from_ref(&original), &original).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", field);
    verdict(Side::Discard, std::slice::from_ref(&copy), &original).await.unwrap();
    check(&daemon.decision(&copy).await, DISCARD.0, DISCARD.1, DecisionReason::SeenLabel);
    let request = proto::ExplainDecisionRequest { image_id: copy, ..Default::default() };
    let event =
        daemon.decisions().explain_decision(request).await.unwrap().into_inner().events.pop().unwrap();
    assert_eq!((event.actor.as_str(), event.note.as_str()), ("ann", "the same shot"));
}
