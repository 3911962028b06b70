//! Review items, over the wire: what is asked, what the answers do, and what makes a lease stale.

mod exact;
mod undo;

use std::collections::BTreeSet;
use std::time::Duration;

use culld::proto;
use culld::proto::{DecisionKind, DecisionReason, NextReviewResponse, ReviewAnswer, ReviewItem, Side};
use tonic::{Code, Status};

use crate::support::{Api, TestDaemon, check_error, groups, id_of, ids_filter, picture};

/// The first item is worked out before anybody asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_item_waits_for_the_reviewer() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(0..4, 6)).await;
    while !daemon.stats().await.review_ready {}
    let item = daemon.next_item().await;
    assert!(daemon.stats().await.review_ready, "asking changed nothing");
    daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
    while !daemon.stats().await.review_ready {}
    let daemon = daemon.restarted().await;
    while !daemon.stats().await.review_ready {}
}

impl Api {
    /// Asks what to judge next.
    pub(crate) async fn next_as(&self, reviewer: &str, held: &[&str]) -> Result<NextReviewResponse, Status> {
        let request = proto::NextReviewRequest {
            collection: self.collection.clone(),
            reviewer: reviewer.to_owned(),
            held_item_ids: held.iter().map(|id| (*id).to_owned()).collect(),
            preferred_image_ids: Vec::new(),
        };
        Ok(self.decisions().next_review(request).await?.into_inner())
    }

    /// Asks about these images again.
    pub(crate) async fn next_like(&self, images: &[String]) -> Result<NextReviewResponse, Status> {
        let request = proto::NextReviewRequest {
            collection: self.collection.clone(),
            preferred_image_ids: images.to_vec(),
            ..Default::default()
        };
        Ok(self.decisions().next_review(request).await?.into_inner())
    }

    /// What to judge next; there is something.
    pub(crate) async fn next_item(&self) -> ReviewItem {
        self.next_as("", &[]).await.unwrap().item.unwrap()
    }

    /// Answers an item, but for the exceptions.
    pub(crate) async fn answer(
        &self,
        item: &ReviewItem,
        answer: ReviewAnswer,
        exceptions: &[&str],
    ) -> Result<proto::AnswerReviewResponse, Status> {
        let request = proto::AnswerReviewRequest {
            collection: self.collection.clone(),
            item_id: item.item_id.clone(),
            answer: answer.into(),
            exception_image_ids: exceptions.iter().map(|id| (*id).to_owned()).collect(),
            ..Default::default()
        };
        Ok(self.decisions().answer_review(request).await?.into_inner())
    }

    /// Takes an event back.
    pub(crate) async fn undo(&self, event_sequence: u64) -> Result<proto::UndoEventResponse, Status> {
        let collection = self.collection.clone();
        let request = proto::UndoEventRequest { collection, event_sequence, ..Default::default() };
        Ok(self.decisions().undo_event(request).await?.into_inner())
    }

    /// Answers as one who needs the pictures of groups below a number, until there is nothing left or so many answers
    /// were given; answers how many were.
    pub(crate) async fn review(&self, needed_below: u64, answers: u64) -> u64 {
        for given in 0..answers {
            let Some(item) = self.next_as("", &[]).await.unwrap().item else { return given };
            let keys = self.groups_of(&item.shown_image_ids).await;
            let needed = keys.iter().filter(|&&group| group < needed_below).count();
            let answer = match needed {
                0 => ReviewAnswer::Discard,
                all if all == keys.len() => ReviewAnswer::Keep,
                _ => ReviewAnswer::Mixed,
            };
            self.answer(&item, answer, &[]).await.unwrap();
        }
        answers
    }

    /// The groups that pictures of `support::groups` are of.
    pub(crate) async fn groups_of(&self, ids: &[String]) -> Vec<u64> {
        let mut groups = Vec::new();
        for id in ids {
            let image = self.image(id).await.unwrap();
            groups.push(image.sources[0].key.split('/').next().unwrap().parse().unwrap());
        }
        groups
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_show_few_of_many_and_answers_label_them_all() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 30)).await;
    let next = daemon.next_as("", &[]).await.unwrap();
    let item = next.item.unwrap();
    assert_eq!(item.shown_image_ids.len(), 9);
    assert_eq!(item.shown_image_ids.iter().collect::<BTreeSet<_>>().len(), 9, "each is shown once");
    assert!(item.images > 9, "{item:?}");
    assert!(!next.enough && next.leased == 1 && item.expected_gain > 0.0);
    let estimate = next.estimate.unwrap();
    assert!(estimate.interval_low <= estimate.quality_metric);
    assert!(estimate.quality_metric <= estimate.interval_high);
    assert_eq!(estimate.judgements, 0);
    let (odd, shown) = item.shown_image_ids.split_first().unwrap();
    let taken = daemon.answer(&item, ReviewAnswer::Keep, &[odd]).await.unwrap();
    assert_eq!((taken.seen, taken.implied), (9, item.images - 9));
    let reason = async |id: &str| {
        let decision = daemon.decision(id).await;
        (decision.decision(), decision.provisional_side(), decision.reason())
    };
    assert_eq!(reason(odd).await, (DecisionKind::Discard, Side::Discard, DecisionReason::SeenLabel));
    for id in shown {
        assert_eq!(reason(id).await, (DecisionKind::Keep, Side::Keep, DecisionReason::SeenLabel));
    }
    let stats = daemon.stats().await;
    assert_eq!((stats.labelled_keep, stats.labelled_discard), (item.images - 1, 1));
    assert_eq!((stats.judgements, stats.bulk_verdicts), (1, 0), "verdicts in bulk are counted apart");
    let events = daemon.decision(shown.first().unwrap()).await.evidence.unwrap();
    assert_eq!(events.event_sequence, Some(taken.event_sequence));
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_items_fall_into_halves_and_end_with_single_images() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..2, 12)).await;
    let mut asked = BTreeSet::new();
    let mut smallest = u64::MAX;
    // Whoever calls everything mixed comes to every image by itself, and is never asked the same twice.
    for _ in 0..100 {
        let Some(item) = daemon.next_as("", &[]).await.unwrap().item else { break };
        let shown: Vec<String> = item.shown_image_ids.clone();
        if item.images <= 9 {
            assert_eq!(shown.len() as u64, item.images, "all of few are shown");
            assert!(asked.insert(shown.iter().cloned().collect::<BTreeSet<_>>()), "asked twice: {shown:?}");
        }
        smallest = smallest.min(item.images);
        if item.images == 1 {
            let mixed = daemon.answer(&item, ReviewAnswer::Mixed, &[]).await;
            check_error(mixed, Code::InvalidArgument, "INVALID_FIELD", "answer");
            daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
        } else {
            let taken = daemon.answer(&item, ReviewAnswer::Mixed, &[]).await.unwrap();
            assert_eq!((taken.seen, taken.implied), (0, 0), "mixed labels nothing");
        }
    }
    assert_eq!(smallest, 1);
    let next = daemon.next_as("", &[]).await.unwrap();
    assert!(next.item.is_none() && next.enough, "every image was looked at");
    assert_eq!(daemon.stats().await.labelled_keep, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mixed_loses_its_implied_labels_and_keeps_its_seen_ones() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..2, 200)).await;
    let item = daemon.next_item().await;
    daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
    let before = daemon.stats().await.labelled_keep;
    assert!(before > 9);
    let label = async |id: &str| daemon.decision(id).await.reason();
    // Until some of what the answer implied is asked about again.
    for _ in 0..40 {
        let item = daemon.next_item().await;
        let mut had = Vec::new();
        for id in &item.shown_image_ids {
            if label(id).await == DecisionReason::ImpliedLabel {
                had.push(id.clone());
            }
        }
        if item.images > 1 && !had.is_empty() {
            daemon.answer(&item, ReviewAnswer::Mixed, &[]).await.unwrap();
            for id in had {
                assert_ne!(label(&id).await, DecisionReason::ImpliedLabel, "{id}");
            }
            return;
        }
        daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
    }
    panic!("nothing implied was asked about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_item_comes_back_last() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..5, 5)).await;
    let first = daemon.next_item().await;
    let skipped: BTreeSet<String> = first.shown_image_ids.iter().cloned().collect();
    daemon.answer(&first, ReviewAnswer::Skip, &[]).await.unwrap();
    assert_eq!(daemon.stats().await.judgements, 1, "a skip is a judgement");
    loop {
        let item = daemon.next_item().await;
        let is_last = item.skipped_before;
        let shown: BTreeSet<String> = item.shown_image_ids.iter().cloned().collect();
        assert_eq!(is_last, !shown.is_disjoint(&skipped), "{item:?}");
        if is_last {
            break;
        }
        daemon.answer(&item, ReviewAnswer::Discard, &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reviewers_never_hold_the_same_image() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..6, 8)).await;
    let mut held = BTreeSet::new();
    let mut items = Vec::new();
    while let Some(item) = daemon.next_as("", &[]).await.unwrap().item {
        for id in &item.shown_image_ids {
            assert!(held.insert(id.clone()), "{id} is in two hands");
        }
        items.push(item);
    }
    assert!(items.len() > 1);
    assert_eq!(daemon.next_as("", &[]).await.unwrap().leased, items.len() as u64);
    // All can be answered, in any order.
    for item in items.iter().rev() {
        daemon.answer(item, ReviewAnswer::Keep, &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_who_comes_back_gets_the_same_items() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..6, 8)).await;
    let item = async |held: &[&str]| daemon.next_as("ann", held).await.unwrap().item.unwrap();
    let first = item(&[]).await;
    let second = item(&[&first.item_id]).await;
    assert_ne!(first.shown_image_ids, second.shown_image_ids, "what is held is not given twice");
    let other = daemon.next_as("bob", &[]).await.unwrap().item.unwrap();
    assert!(other.shown_image_ids.iter().all(|id| !first.shown_image_ids.contains(id)));
    let again = item(&[]).await;
    assert_eq!(again.shown_image_ids, first.shown_image_ids, "what is held no more is free again");
    let late = daemon.answer(&first, ReviewAnswer::Keep, &[]).await;
    check_error(late, Code::Aborted, "ITEM_STALE", "");
    daemon.answer(&other, ReviewAnswer::Keep, &[]).await.unwrap();
    let garbage = daemon.next_as("ann", &["seven"]).await;
    check_error(garbage, Code::InvalidArgument, "INVALID_FIELD", "held_item_ids");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends() {
    let daemon = TestDaemon::with(|config| config.lease_time = Duration::ZERO).await;
    daemon.add_new(groups(1..3, 5)).await;
    let item = daemon.next_item().await;
    let late = daemon.answer(&item, ReviewAnswer::Keep, &[]).await;
    check_error(late, Code::Aborted, "ITEM_STALE", "");
    assert_eq!(daemon.next_item().await.shown_image_ids, item.shown_image_ids, "somebody else gets it");
    assert_eq!(daemon.stats().await.judgements, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_its_images_makes_an_item_stale() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 20)).await;
    let stale = async |item: &ReviewItem| {
        let late = daemon.answer(item, ReviewAnswer::Keep, &[]).await;
        check_error(late, Code::Aborted, "ITEM_STALE", "");
    };
    let item = daemon.next_item().await;
    daemon.judge(Side::Discard, &[&item.shown_image_ids[0]]).await.unwrap();
    stale(&item).await;
    let item = daemon.next_as("x", &[]).await.unwrap().item.unwrap();
    daemon.delete(ids_filter(&[&item.shown_image_ids[0]])).await.unwrap();
    stale(&item).await;
    // A restart ends all leases.
    let item = daemon.next_as("x", &[]).await.unwrap().item.unwrap();
    let daemon = daemon.restarted().await;
    let late = daemon.answer(&item, ReviewAnswer::Keep, &[]).await;
    check_error(late, Code::Aborted, "ITEM_STALE", "");
    // The store may grow.
    let item = daemon.next_item().await;
    daemon.add_new(groups(5..6, 10)).await;
    daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
    daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_checked() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 6)).await;
    let item = daemon.next_item().await;
    let stranger = id_of(&picture(9, 9));
    let shown = item.shown_image_ids[0].as_str();
    let rows = [
        (ReviewAnswer::Unspecified, vec![], "answer"),
        (ReviewAnswer::Keep, vec![stranger.as_str()], "exception_image_ids"),
        (ReviewAnswer::Mixed, vec![shown], "exception_image_ids"),
        (ReviewAnswer::Skip, vec![shown], "exception_image_ids"),
    ];
    for (answer, exceptions, field) in rows {
        let refused = daemon.answer(&item, answer, &exceptions).await;
        check_error(refused, Code::InvalidArgument, "INVALID_FIELD", field);
    }
    let unknown = ReviewItem { item_id: "12".into(), ..item.clone() };
    check_error(daemon.answer(&unknown, ReviewAnswer::Keep, &[]).await, Code::Aborted, "ITEM_STALE", "");
    let garbage = ReviewItem { item_id: "twelve".into(), ..item.clone() };
    let refused = daemon.answer(&garbage, ReviewAnswer::Keep, &[]).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "item_id");
    assert_eq!(daemon.stats().await.judgements, 0, "nothing of it was taken");
    daemon.answer(&item, ReviewAnswer::Keep, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_gets_the_first_reply() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 6)).await;
    let item = daemon.next_item().await;
    let request = proto::AnswerReviewRequest {
        item_id: item.item_id.clone(),
        answer: ReviewAnswer::Discard.into(),
        request_id: "once".into(),
        ..Default::default()
    };
    let first = daemon.decisions().answer_review(request.clone()).await.unwrap().into_inner();
    let again = daemon.decisions().answer_review(request).await.unwrap().into_inner();
    assert_eq!(again, first);
    assert_eq!(daemon.stats().await.judgements, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_collection_has_nothing_to_ask() {
    let daemon = TestDaemon::start().await;
    let next = daemon.next_as("", &[]).await.unwrap();
    assert!(next.item.is_none() && next.enough);
    daemon.add_new(vec![("one".into(), picture(1, 1))]).await;
    let item = daemon.next_item().await;
    assert_eq!((item.images, item.shown_image_ids), (1, vec![id_of(&picture(1, 1))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn few_answers_sort_groups_and_what_comes_later() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..9, 25)).await;
    let given = daemon.review(5, 40).await;
    assert!(given <= 40);
    let wrong = async || {
        let mut wrong = 0;
        for decision in daemon.fetch().await.values() {
            let group: u64 = decision.source_keys[0].split('/').next().unwrap().parse().unwrap();
            wrong += usize::from((decision.provisional_side() == Side::Keep) != (group < 5));
        }
        wrong
    };
    daemon.next_as("", &[]).await.unwrap();
    assert_eq!(wrong().await, 0);
    let later: Vec<_> = groups(1..9, 40)
        .into_iter()
        .filter(|(key, _)| key.split('/').next_back().unwrap().parse::<u64>().unwrap() >= 25)
        .collect();
    daemon.add_new(later).await;
    assert_eq!(wrong().await, 0, "images that arrive are scored as they come");
    assert_eq!(daemon.stats().await.images, 320);
}
