//! `kill -9` at random moments of adds, verdicts, deletes and reclusterings.
//!
//! Callers note what they ask for before they ask, and what was acknowledged when it is. After each restart every
//! acknowledged word must hold; of what was asked and not acknowledged either may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use culld::proto;
use culld::proto::{AddStatus, Side};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tonic::Status;

use super::faults::{Fault, Tally};
use super::others::{self, Others};
use super::{Served, run};
use crate::live::check_live;
use crate::support::{Api, TestDaemon, dbscan, header, id_of, ids_filter, image_message, k_means, picture};

/// Kills, unless `CULLD_KILLS` says how many.
const KILLS: usize = 50;
/// Kills of one data folder; then it begins anew, or rounds would take ever longer.
const KILLS_PER_FOLDER: usize = 25;
/// Data folders whose daemons are killed at a time: most of a round is waiting.
const FOLDERS_AT_ONCE: usize = 4;
/// Acknowledged words between two kills.
const WORDS: std::ops::Range<u64> = 5..150;
/// Acknowledged words after which a named place is not waited for any longer.
const PLACE_WORDS: u64 = 200;
/// Images sent by one stream.
const STREAM: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not there, as far as is known.
    Absent,
    /// Asked for, not acknowledged.
    Adding,
    Present,
    /// Deletion was asked for, not acknowledged.
    Deleting,
}

/// The label that an undo gives back, if any.
#[derive(Debug, Clone, Copy)]
struct Before(Option<Side>);

/// What is known of one image.
#[derive(Debug)]
struct Known {
    id: String,
    state: State,
    /// Acknowledged sources, and one that was asked for.
    sources: BTreeSet<String>,
    asked_source: Option<String>,
    /// The acknowledged label, and one that was asked for.
    label: Option<Side>,
    asked_label: Option<Side>,
    /// What the label is once an undo that was asked for is done.
    asked_undo: Option<Before>,
    /// Whether a caller works on it.
    taken: bool,
    embedding: Vec<f32>,
}

/// What all callers know.
#[derive(Debug, Default)]
struct Model {
    images: Vec<Known>,
    verdicts: u64,
    asked_verdicts: u64,
    /// Undos that were asked for, not acknowledged.
    asked_undos: u64,
    clusterings: Vec<u64>,
    others: Others,
    /// Checks of an image and its label.
    checks: u64,
}

impl Model {
    fn acknowledge_verdict(&mut self) {
        self.asked_verdicts -= 1;
        self.verdicts += 1;
    }
}

fn bytes_of(number: usize) -> Vec<u8> {
    picture(number as u64 % 7, number as u64)
}

/// The callers' notes, and a count of acknowledged words.
#[derive(Clone)]
pub(super) struct Notes {
    model: Arc<Mutex<Model>>,
    words: watch::Sender<u64>,
}

impl Notes {
    fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.model.lock().unwrap())
    }

    /// Notes something of what `others` do.
    pub(super) fn others<T>(&self, note: impl FnOnce(&mut Others) -> T) -> T {
        self.with(|model| note(&mut model.others))
    }

    /// Counts an acknowledged word.
    pub(super) fn word(&self) {
        self.words.send_modify(|words| *words += 1);
    }

    /// Notes an acknowledged word about an image.
    fn acknowledged(&self, number: usize, note: impl FnOnce(&mut Known)) {
        self.with(|model| {
            note(&mut model.images[number]);
            model.images[number].taken = false;
        });
        self.words.send_modify(|words| *words += 1);
    }

    /// Takes an image that nobody works on; in this state, or a new one.
    fn take(
        &self,
        rng: &mut ChaCha8Rng,
        state: State,
        note: impl FnOnce(&mut Known, usize),
    ) -> Option<usize> {
        self.with(|model| {
            let free = |known: &Known| !known.taken && known.state == state;
            let all: Vec<usize> = (0..model.images.len()).filter(|&at| free(&model.images[at])).collect();
            let number = if state == State::Absent && (all.is_empty() || rng.random_bool(0.9)) {
                model.images.push(Known {
                    id: id_of(&bytes_of(model.images.len())),
                    state,
                    sources: BTreeSet::new(),
                    asked_source: None,
                    label: None,
                    asked_label: None,
                    asked_undo: None,
                    taken: false,
                    embedding: Vec::new(),
                });
                model.images.len() - 1
            } else if all.is_empty() {
                return None;
            } else {
                all[rng.random_range(0..all.len())]
            };
            let known = &mut model.images[number];
            known.taken = true;
            note(known, number);
            Some(number)
        })
    }
}

fn ask_source(known: &mut Known, key: String) {
    if known.state == State::Absent {
        known.state = State::Adding;
    }
    known.asked_source = Some(key);
}

fn note_source(known: &mut Known) {
    known.state = State::Present;
    known.sources.extend(known.asked_source.take());
}

/// Adds images one by one, new and known ones, judges and deletes them, until the daemon is gone.
async fn act(api: Api, notes: Notes, mut rng: ChaCha8Rng) -> Result<(), Status> {
    loop {
        match rng.random_range(0..10) {
            0..4 => add(&api, &notes, &mut rng, State::Absent).await?,
            4..6 => add(&api, &notes, &mut rng, State::Present).await?,
            6..9 => judge(&api, &notes, &mut rng).await?,
            _ => delete(&api, &notes, &mut rng).await?,
        }
    }
}

async fn add(api: &Api, notes: &Notes, rng: &mut ChaCha8Rng, state: State) -> Result<(), Status> {
    let place: u32 = rng.random();
    let asked = notes.take(rng, state, |known, number| ask_source(known, format!("{number}/{place}")));
    let Some(number) = asked else { return Ok(()) };
    let outcome = api.add(&format!("{number}/{place}"), bytes_of(number)).await?;
    let expected = if state == State::Absent { AddStatus::Added } else { AddStatus::AlreadyPresent };
    assert_eq!(outcome.status(), expected, "{number}: {outcome:?}");
    notes.acknowledged(number, note_source);
    Ok(())
}

async fn judge(api: &Api, notes: &Notes, rng: &mut ChaCha8Rng) -> Result<(), Status> {
    let side = if rng.random() { Side::Keep } else { Side::Discard };
    let asked = notes.take(rng, State::Present, |known, _| known.asked_label = Some(side));
    let Some(number) = asked else { return Ok(()) };
    let id = notes.with(|model| {
        model.asked_verdicts += 1;
        model.images[number].id.clone()
    });
    let verdict = api.judge(side, &[&id]).await?;
    notes.with(Model::acknowledge_verdict);
    if rng.random_bool(0.7) {
        notes.acknowledged(number, |known| known.label = known.asked_label.take());
        return Ok(());
    }
    let before = notes.with(|model| {
        model.asked_undos += 1;
        let known = &mut model.images[number];
        let before = known.label;
        known.label = known.asked_label.take();
        known.asked_undo = Some(Before(before));
        before
    });
    let request = proto::UndoEventRequest { event_sequence: verdict.event_sequence, ..Default::default() };
    api.decisions().undo_event(request).await?;
    notes.with(|model| {
        model.asked_undos -= 1;
        model.verdicts -= 1;
    });
    notes.acknowledged(number, |known| {
        (known.label, known.asked_undo) = (before, None);
    });
    Ok(())
}

async fn delete(api: &Api, notes: &Notes, rng: &mut ChaCha8Rng) -> Result<(), Status> {
    let asked = notes.take(rng, State::Present, |known, _| known.state = State::Deleting);
    let Some(number) = asked else { return Ok(()) };
    let id = notes.with(|model| model.images[number].id.clone());
    let deleted = api.delete(ids_filter(&[&id])).await?;
    assert_eq!(deleted.images, 1);
    notes.acknowledged(number, |known| {
        known.state = State::Absent;
        known.sources.clear();
    });
    Ok(())
}

/// Adds images by streams until the daemon is gone.
async fn stream(api: Api, notes: Notes, mut rng: ChaCha8Rng) -> Result<(), Status> {
    loop {
        let mut messages = vec![header("")];
        for _ in 0..STREAM {
            let number =
                notes.take(&mut rng, State::Absent, |known, number| ask_source(known, number.to_string()));
            messages.extend(number.map(|number| image_message(&number.to_string(), bytes_of(number))));
        }
        let mut stream = api.images().add_images(tokio_stream::iter(messages)).await?.into_inner();
        while let Some(response) = stream.message().await? {
            let outcome = response.outcome.unwrap();
            assert_eq!(outcome.status(), AddStatus::Added, "{outcome:?}");
            notes.acknowledged(outcome.key.parse().unwrap(), note_source);
        }
    }
}

/// Clusters, and judges clusters, until the daemon is gone.
async fn cluster(api: Api, notes: Notes) -> Result<(), Status> {
    let mut turn = 0u32;
    loop {
        if api.admin().get_stats(proto::GetStatsRequest::default()).await?.into_inner().images < 10 {
            continue;
        }
        // One that is followed through what comes, and one that is not.
        turn += 1;
        let algorithm = if turn.is_multiple_of(2) { k_means(5) } else { dbscan(0.05) };
        let parameters = proto::Parameters { algorithm: Some(algorithm) };
        let request = proto::ReclusterRequest {
            parameters: Some(parameters),
            request_id: format!("recluster {}", notes.others(Others::unique)),
            ..Default::default()
        };
        let started = api.clusterings().recluster(request).await;
        let name = match started.map(|answer| answer.into_inner().operation.unwrap()) {
            // Deleted meanwhile, down to fewer than five.
            Err(status) if status.code() == tonic::Code::InvalidArgument => continue,
            started => started?.name,
        };
        let Some(proto::operation::Result::Clustering(made)) = api.wait(&name).await?.result else {
            continue;
        };
        notes.with(|model| model.clusterings.push(made.clustering_id));
        let request = proto::ListClustersRequest { clustering_id: made.clustering_id, ..Default::default() };
        let clusters = api.clusterings().list_clusters(request).await?.into_inner().clusters;
        let Some(first) = clusters.into_iter().next() else { continue };
        notes.with(|model| model.asked_verdicts += 1);
        api.judge_cluster(Side::Keep, Some(first.cluster_id), &[]).await?;
        notes.with(Model::acknowledge_verdict);
        notes.words.send_modify(|words| *words += 1);
    }
}

/// Checks what holds after a restart, and settles what was asked for and not acknowledged.
async fn check(api: &Api, model: &mut Model, round: u64) {
    let stored: BTreeMap<String, proto::Image> =
        api.list().await.into_iter().map(|image| (image.image_id.clone(), image)).collect();
    let decisions = api.fetch().await;
    let mut present = 0;
    for known in &mut model.images {
        let found = stored.get(&known.id);
        match known.state {
            State::Present => assert!(found.is_some(), "round {round}: lost {known:?}"),
            State::Absent => assert!(found.is_none(), "round {round}: came back: {known:?}"),
            State::Adding | State::Deleting => {}
        }
        let asked = known.asked_source.take();
        let asked_label = known.asked_label.take();
        let asked_undo = known.asked_undo.take();
        known.taken = false;
        let Some(image) = found else {
            known.state = State::Absent;
            known.sources.clear();
            continue;
        };
        present += 1;
        known.state = State::Present;
        let sources: BTreeSet<String> = image.sources.iter().map(|source| source.key.clone()).collect();
        assert_eq!(sources.len(), image.sources.len(), "round {round}: a source twice in {known:?}");
        let extra: Vec<_> = sources.difference(&known.sources).collect();
        assert!(
            extra.iter().all(|&key| asked.as_ref() == Some(key)),
            "round {round}: {extra:?} in {known:?}"
        );
        assert!(known.sources.is_subset(&sources), "round {round}: {sources:?} of {known:?}");
        known.sources = sources;
        if known.embedding.is_empty() {
            known.embedding.clone_from(&image.embedding);
        }
        assert_eq!(known.embedding, image.embedding, "round {round}: {}", known.id);
        let decision = &decisions[&known.id];
        let seen = decision.evidence.as_ref().is_some_and(|evidence| evidence.label_seen);
        let label = seen.then(|| decision.provisional_side());
        let allowed =
            [known.label, asked_label.or(known.label), asked_undo.map_or(known.label, |before| before.0)];
        model.checks += 1;
        assert!(allowed.contains(&label), "round {round}: {label:?} is none of {allowed:?} of {}", known.id);
        known.label = label;
    }
    assert_eq!(stored.len(), present, "round {round}: images that nobody asked for");
    let stats = api.stats().await;
    let verdicts = model.verdicts.saturating_sub(model.asked_undos)..=model.verdicts + model.asked_verdicts;
    assert!(
        verdicts.contains(&stats.bulk_verdicts),
        "round {round}: {} of {verdicts:?}",
        stats.bulk_verdicts
    );
    (model.verdicts, model.asked_verdicts, model.asked_undos) = (stats.bulk_verdicts, 0, 0);
    if let Some(&last) = model.clusterings.last() {
        assert!(stats.active_clustering_id >= last, "round {round}: {stats:?}");
    }
    let operations = api.admin().list_operations(proto::ListOperationsRequest::default()).await.unwrap();
    assert!(operations.into_inner().operations.iter().all(|operation| operation.done), "round {round}");
    others::check(api, &mut model.others, round).await;
}

/// Runs all callers over one daemon until it is killed; answers whether it ended where it should.
async fn run_until_killed(mut served: Served, fault: &Fault, notes: &Notes, rng: &mut ChaCha8Rng) -> bool {
    let mut callers = tokio::task::JoinSet::new();
    let api = || served.api.clone();
    for _ in 0..3 {
        callers.spawn(act(api(), notes.clone(), ChaCha8Rng::seed_from_u64(rng.random())));
    }
    callers.spawn(stream(api(), notes.clone(), ChaCha8Rng::seed_from_u64(rng.random())));
    callers.spawn(cluster(api(), notes.clone()));
    callers.spawn(others::review(api(), notes.clone()));
    callers.spawn(others::set_policies(api(), notes.clone()));
    callers.spawn(others::make_collections(api(), notes.clone()));
    callers.spawn(others::back_up(api(), notes.clone()));
    let waited =
        if *fault == Fault::Random || fault.needs_a_stop() { rng.random_range(WORDS) } else { PLACE_WORDS };
    let words = *notes.words.borrow() + waited;
    let mut said = notes.words.subscribe();
    // The first caller that ends says that the daemon did.
    let ended = tokio::select! {
        enough = said.wait_for(|said| *said >= words) => { enough.unwrap(); None }
        ended = callers.join_next() => ended,
    };
    let mut reached = ended.is_some() && *fault != Fault::Random;
    if let Some(ended) = ended {
        ended.unwrap().unwrap_err();
    } else if fault.needs_a_stop() {
        served.terminate();
        reached = served.wait().code().is_none();
    }
    served.kill();
    // Callers end with an error of the connection; one that panicked found something wrong.
    while let Some(ended) = callers.join_next().await {
        ended.unwrap().unwrap_err();
    }
    reached || *fault == Fault::Random
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_to_kills() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (seed, kills) = (number("CULLD_SEED").unwrap_or(20), number("CULLD_KILLS").unwrap_or(KILLS as u64));
    eprintln!("CULLD_SEED={seed}");
    let faults = Fault::all(kills as usize, seed);
    let mut folders = faults.chunks(KILLS_PER_FOLDER).map(<[Fault]>::to_vec).zip(0..);
    let (mut tally, mut running) = (Tally::default(), tokio::task::JoinSet::new());
    loop {
        while running.len() < FOLDERS_AT_ONCE
            && let Some((faults, number)) = folders.next()
        {
            running.spawn(one_folder(faults, number, ChaCha8Rng::seed_from_u64(seed << 32 | number)));
        }
        let Some(done) = running.join_next().await else { break };
        tally.add(done.unwrap());
        if let Some(path) = std::env::var_os("CULLD_TABLE") {
            std::fs::write(path, tally.table(seed)).unwrap();
        }
    }
    eprintln!("{}", tally.table(seed));
}

/// Kills the daemons of one data folder.
async fn one_folder(faults: Vec<Fault>, number: u64, mut rng: ChaCha8Rng) -> Tally {
    let mut tally = Tally::default();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let notes = Notes { model: Arc::default(), words: watch::Sender::new(0) };
    for (round, fault) in (0..).zip(&faults) {
        let durability = if round % 2 == 0 { "fsync" } else { "process" };
        eprintln!("folder {number}, round {round}: {fault:?}");
        let memory = if fault.needs_little_memory() || round / 2 % 2 == 0 { 0 } else { 512 };
        let mut checking = Served::try_start(&data, durability, memory, None).await.unwrap();
        let mut model = std::mem::take(&mut *notes.model.lock().unwrap());
        check(&checking.api, &mut model, round).await;
        check_live(&checking.api).await;
        *notes.model.lock().unwrap() = model;
        // Checks pass places, too, so that they have a process of their own.
        let served = if *fault == Fault::Random {
            Some(checking)
        } else {
            checking.kill();
            drop(checking);
            Served::try_start(&data, durability, memory, fault.variable()).await
        };
        // A place may be passed before anybody is served.
        let reached = match served {
            Some(served) => run_until_killed(served, fault, &notes, &mut rng).await,
            None => true,
        };
        tally.count(fault, reached);
    }
    let served = Served::start(&data, "fsync").await;
    let mut model = std::mem::take(&mut *notes.model.lock().unwrap());
    check(&served.api, &mut model, faults.len() as u64).await;
    add_the_rest(&served.api, &model).await;
    if let Some(backup) = model.others.backups_made.last() {
        let verified = run(&["verify", "--backup", backup.to_str().unwrap()]);
        assert!(verified.status.success(), "{verified:?}");
    }
    tally.words = *notes.words.borrow();
    tally.checks = model.checks;
    tally
}

/// Adding everything again makes no duplicates, and embeddings are those of a daemon that nobody ever killed.
async fn add_the_rest(api: &Api, model: &Model) {
    let all = || (0..model.images.len()).map(|number| (format!("rest/{number}"), bytes_of(number))).collect();
    let outcomes = api.add_all(all()).await.unwrap();
    for (number, known) in model.images.iter().enumerate() {
        let expected =
            if known.state == State::Present { AddStatus::AlreadyPresent } else { AddStatus::Added };
        assert_eq!(outcomes[&format!("rest/{number}")].status(), expected, "{known:?}");
    }
    let unharmed = TestDaemon::start().await;
    unharmed.add_new(all()).await;
    let embeddings = async |api: &Api| -> BTreeMap<String, Vec<f32>> {
        api.list().await.into_iter().map(|image| (image.image_id, image.embedding)).collect()
    };
    assert_eq!(embeddings(api).await, embeddings(&unharmed).await);
    assert!(model.images.len() > 20, "{} images are too few to show anything", model.images.len());
}
