//! Taking back, and previews.

use std::collections::BTreeSet;

use culld::proto;
use culld::proto::preview_verdict_request::What;
use culld::proto::{DecisionKind, DecisionReason, ReviewAnswer, ReviewItem, Side};
use tonic::{Code, Status};

use crate::support::{Api, TestDaemon, check_error, dbscan, groups, id_of, picture};

impl Api {
    /// Asks what something would change.
    pub(crate) async fn preview(&self, what: What) -> Result<proto::PreviewVerdictResponse, Status> {
        let request = proto::PreviewVerdictRequest { collection: self.collection.clone(), what: Some(what) };
        Ok(self.decisions().preview_verdict(request).await?.into_inner())
    }
}

/// A verdict on images.
pub(crate) fn verdict(collection: &str, side: Side, ids: &[String]) -> proto::SetVerdictRequest {
    let target = proto::ImagesTarget { image_ids: ids.to_vec() };
    proto::SetVerdictRequest {
        collection: collection.to_owned(),
        side: side.into(),
        target: Some(proto::set_verdict_request::Target::Images(target)),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_taken_back_and_given_again() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 6)).await;
    daemon.recluster(dbscan(0.1)).await;
    let cluster = daemon.cluster_of(&id_of(&picture(1, 0))).await;
    let keep = daemon.judge_cluster(Side::Keep, cluster, &[&id_of(&picture(1, 5))]).await.unwrap();
    let look = async |item| {
        let decision = daemon.decision(&id_of(&picture(1, item))).await;
        (decision.decision(), decision.reason())
    };
    let implied = (DecisionKind::Keep, DecisionReason::ImpliedLabel);
    let exception = (DecisionKind::Discard, DecisionReason::SeenLabel);
    assert_eq!((look(0).await, look(5).await), (implied, exception));
    let undo = daemon.undo(keep.event_sequence).await.unwrap();
    assert!(undo.changed >= 6, "{undo:?}");
    let unjudged = (DecisionKind::Review, DecisionReason::NothingJudged);
    assert_eq!((look(0).await, look(5).await), (unjudged, unjudged));
    assert_eq!(daemon.stats().await.bulk_verdicts, 0, "verdicts in force");
    let daemon_again = daemon.undo(keep.event_sequence).await;
    check_error(daemon_again, Code::FailedPrecondition, "ALREADY_UNDONE", "");
    // To undo the undo is to redo.
    let redo = daemon.undo(undo.event_sequence).await.unwrap();
    assert_eq!((look(0).await, look(5).await), (implied, exception));
    daemon.undo(redo.event_sequence).await.unwrap();
    assert_eq!(look(0).await, unjudged);
    daemon.undo(undo.event_sequence + 2).await.unwrap();
    assert_eq!(look(0).await, implied, "and so on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_an_undone_verdict_stands() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 4)).await;
    let (a, b) = (id_of(&picture(1, 0)), id_of(&picture(1, 1)));
    let first = daemon.judge(Side::Keep, &[&a, &b]).await.unwrap();
    daemon.judge(Side::Discard, &[&b]).await.unwrap();
    daemon.undo(first.event_sequence).await.unwrap();
    assert_ne!(daemon.decision(&a).await.reason(), DecisionReason::SeenLabel);
    let b = daemon.decision(&b).await;
    assert_eq!((b.decision(), b.reason()), (DecisionKind::Discard, DecisionReason::SeenLabel));
    // Undone for good: also after a restart.
    let daemon = daemon.restarted().await;
    assert_ne!(daemon.decision(&a).await.reason(), DecisionReason::SeenLabel);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_answer_opens_its_item_again_and_stays_spent() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 20)).await;
    let item = daemon.next_item().await;
    let taken = daemon.answer(&item, ReviewAnswer::Mixed, &[]).await.unwrap();
    let half = daemon.next_item().await;
    let kept = daemon.answer(&half, ReviewAnswer::Keep, &[]).await.unwrap();
    daemon.undo(taken.event_sequence).await.unwrap();
    let decision = daemon.decision(&half.shown_image_ids[0]).await;
    assert_eq!(decision.reason(), DecisionReason::SeenLabel, "answers to its halves stand");
    daemon.undo(kept.event_sequence).await.unwrap();
    let again = daemon.next_item().await;
    assert_eq!(again.shown_image_ids, item.shown_image_ids);
    assert_eq!(again.images, item.images);
    assert_eq!(daemon.stats().await.judgements, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_undone_says_so() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 4)).await;
    daemon.recluster(dbscan(0.1)).await;
    check_error(daemon.undo(1).await, Code::FailedPrecondition, "NOT_UNDOABLE", "");
    for unknown in [0, 2, u64::MAX] {
        check_error(daemon.undo(unknown).await, Code::NotFound, "NOT_FOUND", "");
        let preview = daemon.preview(What::UndoEventSequence(unknown)).await;
        check_error(preview, Code::NotFound, "NOT_FOUND", "");
    }
    let nothing = proto::PreviewVerdictRequest::default();
    let nothing = daemon.decisions().preview_verdict(nothing).await;
    check_error(nothing, Code::InvalidArgument, "INVALID_FIELD", "what");
    let unknown = vec![id_of(b"nobody")];
    let preview = daemon.preview(What::Verdict(verdict("", Side::Keep, &unknown))).await;
    check_error(preview, Code::NotFound, "NOT_FOUND", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_change_and_changes_nothing() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 6)).await;
    daemon.judge(Side::Keep, &[&id_of(&picture(1, 0))]).await.unwrap();
    daemon.next_as("", &[]).await.unwrap();
    let before = daemon.fetch().await;
    let ids: Vec<String> = (0..3).map(|item| id_of(&picture(2, item))).collect();
    let preview = daemon.preview(What::Verdict(verdict("", Side::Discard, &ids))).await.unwrap();
    assert_eq!(daemon.fetch().await, before);
    assert!(preview.changed >= 3 && preview.changed_bytes > 0, "{preview:?}");
    assert_eq!(preview.changes.len() as u64, preview.changed);
    assert_eq!(preview.keep + preview.discard + preview.review, 18);
    for id in &ids {
        let change = preview.changes.iter().find(|change| change.image_id == *id).unwrap();
        assert_eq!(change.after(), DecisionKind::Discard);
    }
}

/// Taken back and given again while the image was gone: its label speaks as if neither had happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_comes_back_after_deletion_speaks_again() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 3)).await;
    let (gone, alike) = (id_of(&picture(1, 0)), id_of(&picture(1, 1)));
    let kept = daemon.judge(Side::Keep, &[&gone]).await.unwrap();
    let undo = daemon.undo(kept.event_sequence).await.unwrap();
    daemon.delete(crate::support::ids_filter(&[&gone])).await.unwrap();
    daemon.undo(undo.event_sequence).await.unwrap();
    let decision = daemon.decision(&alike).await;
    assert_eq!(
        (decision.decision(), decision.reason()),
        (DecisionKind::Keep, DecisionReason::StandingVerdict)
    );
    assert_eq!(decision.evidence.unwrap().nearest_keep.unwrap().image_id, gone);
    daemon.add("again", picture(1, 0)).await.unwrap();
    let before = daemon.fetch().await;
    assert_eq!(daemon.restarted().await.fetch().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_can_be_asked_again_before_all_else() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(0..8, 12)).await;
    let mut said = Vec::new();
    for number in 0..4 {
        let item = daemon.next_item().await;
        let answer = if number % 2 == 0 { ReviewAnswer::Keep } else { ReviewAnswer::Discard };
        said.push((daemon.answer(&item, answer, &[]).await.unwrap().event_sequence, item));
    }
    let shown = |item: &ReviewItem| item.shown_image_ids.iter().cloned().collect::<BTreeSet<_>>();
    // In any order, each brings its own item back, whatever else is worth more by now.
    for (event, item) in [&said[1], &said[0], &said[3]] {
        daemon.undo(*event).await.unwrap();
        let again = daemon.next_like(&item.shown_image_ids).await.unwrap().item.unwrap();
        assert_eq!((shown(&again), again.images), (shown(item), item.images), "event {event}");
        daemon.answer(&again, ReviewAnswer::Skip, &[]).await.unwrap();
    }
    // What nobody can be asked about any more changes nothing, and a list has its limits.
    let kept = &said[2].1.shown_image_ids;
    let other = daemon.next_like(kept).await.unwrap().item.unwrap();
    assert!(!other.shown_image_ids.iter().any(|id| kept.contains(id)));
    let many = vec![kept[0].clone(); 10];
    for wrong in [many, vec!["cat".to_owned()]] {
        check_error(
            daemon.next_like(&wrong).await,
            Code::InvalidArgument,
            "INVALID_FIELD",
            "preferred_image_ids",
        );
    }
}
