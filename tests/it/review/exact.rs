//! Whatever is said, done and taken back, in any order: what is left is what is not taken back, and previews tell
//! what happens. Random sessions over two daemons, of which one never hears a judgement.

use std::collections::{BTreeMap, BTreeSet};

use culld::proto;
use culld::proto::preview_verdict_request::What;
use culld::proto::{Decision, ReviewAnswer, Side};
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::undo::verdict;
use crate::support::{TestDaemon, dbscan, id_of, ids_filter, k_means, picture};

const GROUPS: u64 = 5;
const SIDES: [Side; 2] = [Side::Keep, Side::Discard];

/// A daemon that hears everything, one that hears of data alone, and what the log of the first holds.
struct Session {
    rng: ChaCha8Rng,
    judged: TestDaemon,
    silent: TestDaemon,
    stored: BTreeSet<String>,
    next_item: u64,
    clusterings: u64,
    /// Verdicts, answers and undos, each with the event that it is the undo of.
    events: Vec<(u64, Option<u64>)>,
}

impl Session {
    async fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            judged: TestDaemon::start().await,
            silent: TestDaemon::start().await,
            stored: BTreeSet::new(),
            next_item: 0,
            clusterings: 0,
            events: Vec::new(),
        }
    }

    fn in_force(&self, event: u64) -> bool {
        !self.events.iter().any(|&(undo, of)| of == Some(event) && self.in_force(undo))
    }

    fn some(&mut self, most: usize) -> Vec<String> {
        let mut stored: Vec<String> = self.stored.iter().cloned().collect();
        stored.shuffle(&mut self.rng);
        stored.truncate(self.rng.random_range(1..=most));
        stored
    }

    async fn add(&mut self) {
        let count = self.rng.random_range(1..12);
        let mut pictures = Vec::new();
        for _ in 0..count {
            let group = self.rng.random_range(1..=GROUPS);
            self.next_item += 1;
            let bytes = picture(group, self.next_item);
            self.stored.insert(id_of(&bytes));
            pictures.push((format!("{group}/{}", self.next_item), bytes));
        }
        for daemon in [&self.judged, &self.silent] {
            // One by one: generations then agree.
            for (key, bytes) in &pictures {
                daemon.add(key, bytes.clone()).await.unwrap();
            }
        }
    }

    async fn delete(&mut self) {
        for id in self.some(3) {
            self.stored.remove(&id);
            for daemon in [&self.judged, &self.silent] {
                daemon.delete(ids_filter(&[&id])).await.unwrap();
            }
        }
    }

    async fn recluster(&mut self) {
        if self.stored.len() < 3 {
            return;
        }
        let algorithm = if self.rng.random() { dbscan(0.1) } else { k_means(2) };
        for daemon in [&self.judged, &self.silent] {
            daemon.recluster(algorithm).await;
        }
        self.clusterings += 1;
    }

    async fn activate(&mut self) {
        if self.clusterings == 0 {
            return;
        }
        let clustering_id = self.rng.random_range(1..=self.clusterings);
        for daemon in [&self.judged, &self.silent] {
            let request = proto::ActivateClusteringRequest { clustering_id, ..Default::default() };
            daemon.clusterings().activate_clustering(request).await.unwrap();
        }
    }

    /// What is to be said next: a verdict on images or on a cluster, or the undo of something in force.
    async fn proposal(&mut self) -> Option<What> {
        let side = *SIDES.choose(&mut self.rng).unwrap();
        match self.rng.random_range(0..5) {
            0 | 1 => Some(What::Verdict(verdict("", side, &self.some(4)))),
            2 if self.clusterings > 0 => {
                let clusters = self.judged.clusters(0).await;
                let cluster_id = clusters.choose(&mut self.rng)?.cluster_id;
                let target = proto::ClusterTarget { cluster_id: Some(cluster_id), ..Default::default() };
                Some(What::Verdict(proto::SetVerdictRequest {
                    side: side.into(),
                    target: Some(proto::set_verdict_request::Target::Cluster(target)),
                    ..Default::default()
                }))
            }
            3 => {
                let item = self.judged.next_as("", &[]).await.unwrap().item?;
                let answers =
                    [ReviewAnswer::Keep, ReviewAnswer::Discard, ReviewAnswer::Mixed, ReviewAnswer::Skip];
                let answer = match *answers.choose(&mut self.rng).unwrap() {
                    ReviewAnswer::Mixed if item.images == 1 => ReviewAnswer::Keep,
                    answer => answer,
                };
                let names_one =
                    answer != ReviewAnswer::Mixed && answer != ReviewAnswer::Skip && self.rng.random();
                let exception_image_ids =
                    if names_one { vec![item.shown_image_ids[0].clone()] } else { vec![] };
                Some(What::Answer(proto::AnswerReviewRequest {
                    item_id: item.item_id,
                    answer: answer.into(),
                    exception_image_ids,
                    ..Default::default()
                }))
            }
            _ => {
                let left: Vec<u64> = self
                    .events
                    .iter()
                    .map(|(event, _)| *event)
                    .filter(|&event| self.in_force(event))
                    .collect();
                left.choose(&mut self.rng).map(|&event| What::UndoEventSequence(event))
            }
        }
    }

    async fn say(&mut self, what: What) {
        let decisions = &mut self.judged.decisions();
        let (event, of) = match what {
            What::Verdict(verdict) => {
                (decisions.set_verdict(verdict).await.unwrap().into_inner().event_sequence, None)
            }
            What::Answer(answer) => {
                (decisions.answer_review(answer).await.unwrap().into_inner().event_sequence, None)
            }
            What::UndoEventSequence(event) => {
                (self.judged.undo(event).await.unwrap().event_sequence, Some(event))
            }
        };
        self.events.push((event, of));
    }

    /// Says something, and holds what was foretold against what happened.
    async fn say_as_foretold(&mut self) {
        let Some(what) = self.proposal().await else { return };
        let before = self.judged.fetch().await;
        let foretold = self.judged.preview(what.clone()).await.unwrap();
        self.say(what.clone()).await;
        let after = self.judged.fetch().await;
        let look = |decision: &Decision| (decision.decision(), decision.provisional_side());
        let mut expected = BTreeMap::new();
        for (id, before) in &before {
            let (before, after) = (look(before), look(&after[id]));
            if before != after {
                expected.insert(id.clone(), (before, after));
            }
        }
        let told: BTreeMap<String, _> = foretold
            .changes
            .iter()
            .map(|change| {
                let sides = (change.side_before(), change.side_after());
                (change.image_id.clone(), ((change.before(), sides.0), (change.after(), sides.1)))
            })
            .collect();
        assert_eq!(told, expected, "{what:?}");
        assert_eq!(foretold.changed, expected.len() as u64);
        let kinds =
            after.values().filter(|decision| decision.decision() == proto::DecisionKind::Keep).count();
        assert_eq!(foretold.keep, kinds as u64);
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..10) {
            0 | 1 => self.add().await,
            2 => self.delete().await,
            3 => self.recluster().await,
            4 => self.activate().await,
            _ => self.say_as_foretold().await,
        }
        if self.stored.is_empty() {
            self.add().await;
        }
    }
}

/// Without what counts how often decisions changed on the way.
fn by_now(mut decisions: BTreeMap<String, Decision>) -> BTreeMap<String, Decision> {
    decisions.values_mut().for_each(|decision| decision.revision = 0);
    decisions
}

async fn session(seed: u64, steps: usize) {
    let mut session = Session::new(seed).await;
    session.add().await;
    for _ in 0..steps {
        session.step().await;
    }
    // All judgements are taken back, in any order.
    let mut left: Vec<u64> = session.events.iter().map(|(event, _)| *event).collect();
    left.shuffle(&mut session.rng);
    for event in left {
        let is_undo = session.events.iter().any(|&(known, of)| known == event && of.is_some());
        if !is_undo && session.in_force(event) {
            session.say(What::UndoEventSequence(event)).await;
        }
    }
    let expected = by_now(session.silent.fetch().await);
    assert_eq!(by_now(session.judged.fetch().await), expected, "seed {seed}: as if never judged");
    // And after a restart.
    let judged = session.judged.restarted().await;
    assert_eq!(by_now(judged.fetch().await), expected, "seed {seed}: as if never judged, after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn undoing_all_is_as_if_never_judged_and_previews_come_true() {
    for seed in 0..6 {
        session(seed, 40).await;
    }
}

/// What a decision rests on, without the numbers of events, which differ.
fn rests_on(decision: &Decision) -> impl PartialEq + std::fmt::Debug + use<> {
    let evidence = decision.evidence.clone().unwrap_or_default();
    (
        (decision.decision(), decision.provisional_side(), decision.reason(), decision.confidence),
        (evidence.label_seen, evidence.cluster_id, evidence.nearest_keep, evidence.nearest_discard),
        evidence.keep_probability,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_was_never_said_whatever_stands() {
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (with, without) = (TestDaemon::start().await, TestDaemon::start().await);
        let pictures: Vec<_> = (1..=GROUPS)
            .flat_map(|group| (0..8).map(move |item| (format!("{group}/{item}"), picture(group, item))))
            .collect();
        for daemon in [&with, &without] {
            daemon.add_new(pictures.clone()).await;
            daemon.recluster(k_means(3)).await;
        }
        let mut to_undo = Vec::new();
        for _ in 0..8 {
            let side = *SIDES.choose(&mut rng).unwrap();
            let cluster = rng.random::<bool>().then_some(rng.random_range(1..=3));
            let named: Vec<String> = pictures.sample(&mut rng, 3).map(|(_, bytes)| id_of(bytes)).collect();
            let say = async |daemon: &TestDaemon| {
                if cluster.is_some() {
                    return daemon.judge_cluster(side, cluster, &[]).await.unwrap().event_sequence;
                }
                let request = verdict("", side, &named);
                daemon.decisions().set_verdict(request).await.unwrap().into_inner().event_sequence
            };
            let event = say(&with).await;
            if rng.random() {
                to_undo.push(event);
            } else {
                say(&without).await;
            }
        }
        to_undo.shuffle(&mut rng);
        for event in to_undo {
            with.undo(event).await.unwrap();
        }
        let (with, without) = (with.fetch().await, without.fetch().await);
        for (id, decision) in &with {
            assert_eq!(rests_on(decision), rests_on(&without[id]), "seed {seed}, {id}");
        }
    }
}
