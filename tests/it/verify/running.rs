//! A daemon that runs, and what it holds in memory.

use std::sync::Arc;

use culld::decode::Limits;
use culld::embed::{Model, ModelSource, Pipeline, PipelineOptions};
use culld::engine::{Engine, EngineParts, OperationResult, VerifyReport};
use culld::index::IndexChoice;
use culld::proto;
use culld::proto::operation::Result as Ended;
use culld::store::{Durability, Keys, Kind, MemoryStore, Store as _, codec};
use tokio::task::JoinSet;
use tonic::Code;

use super::{delete, full_folder, hex, kind, memory, open, put, records, samples};
use crate::support::{Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, picture};

/// An engine over a store that the test can get at meanwhile.
fn engine(store: &Arc<MemoryStore>) -> Engine {
    let model = Model::load(&ModelSource::Fake, None).unwrap();
    let options = PipelineOptions { workers: 1, queue_max: 4, limits: Limits::default() };
    Engine::open(EngineParts {
        store: Arc::clone(store) as Arc<dyn culld::store::Store>,
        durability: Durability::Process,
        pipeline: Arc::new(Pipeline::start(&model, &options).unwrap()),
        index: IndexChoice::Auto,
        index_folder: None,
        backup_folder: None,
        allowed_roots: Vec::new(),
        quota: culld::engine::Quota::default(),
        image_bytes_max: 1 << 20,
        collections_max: 10,
        lease_time: std::time::Duration::from_mins(10),
        clusterings_kept: 10,
    })
    .unwrap()
}

async fn verify(engine: &Engine) -> VerifyReport {
    let operation = engine.verify().unwrap();
    let mut status = operation.watch();
    let ended = status.wait_for(|status| status.result.is_some()).await.unwrap().clone();
    match ended.result.unwrap() {
        Ok(OperationResult::Verified(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_under_a_running_engine_is_found() {
    let folder = full_folder().await;
    let before = records(&open(&folder));
    let store = Arc::new(memory(&before));
    let engine = engine(&store);
    let sound = verify(&engine).await;
    assert_eq!((sound.problems, sound.collections, &sound.skipped), (0, 2, &vec![]), "{sound:?}");
    for (key, value) in samples(&before) {
        // Those that the engine itself writes, a verification is one, are damaged above only.
        if kind(key) == Kind::Operation {
            continue;
        }
        let mut damaged = value.clone();
        damaged[value.len() / 2] ^= 0x40;
        put(&*store, key, &damaged);
        let found = verify(&engine).await;
        assert_eq!(found.problems, 1, "{}: {found:?}", hex(key));
        assert_eq!(found.listed[0].key, hex(key), "{found:?}");
        put(&*store, key, value);
    }
    // What is sound by itself, and not what is held in memory: two embeddings change places.
    let prefix = Keys::embeddings(1);
    let embeddings: Vec<_> = before.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes())).collect();
    let ((first, value), (second, other)) = (embeddings[0], embeddings[embeddings.len() - 1]);
    for (to, from, value) in [(first, second, other), (second, first, value)] {
        let values = codec::decode_embedding(1, from, value).unwrap();
        put(&*store, to, &codec::encode_embedding(1, to, &values));
    }
    let found = verify(&engine).await;
    assert_eq!(found.problems, 2, "{found:?}");
    assert!(found.listed.iter().all(|problem| problem.kind == "vector"), "{found:?}");
    put(&*store, first, value);
    put(&*store, second, other);
    // The last entry of a log is gone, which its chain can't tell.
    let (last, value) = before.iter().rfind(|(key, _)| key[0] == Kind::Event as u8).unwrap();
    delete(&*store, last);
    let found = verify(&engine).await;
    assert!(found.listed.iter().any(|problem| problem.kind == "log"), "{found:?}");
    put(&*store, last, value);
    assert_eq!(verify(&engine).await.problems, 0);
    store.sync().unwrap();
}

async fn start(api: &Api) -> Result<proto::Operation, tonic::Status> {
    Ok(api.admin().verify(proto::VerifyRequest {}).await?.into_inner().operation.unwrap())
}

async fn report(api: &Api) -> proto::VerifyReport {
    let operation = start(api).await.unwrap();
    match api.wait(&operation.name).await.unwrap().result {
        Some(Ended::Verify(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Images, verdicts and clusterings that come and go are no damage.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_meanwhile_is_no_problem() {
    for hnsw in [false, true] {
        let daemon = if hnsw { TestDaemon::with_hnsw().await } else { TestDaemon::start().await };
        daemon.add_new(groups(1..6, 20)).await;
        daemon.recluster(dbscan(0.05)).await;
        daemon.judge(proto::Side::Keep, &[&id_of(&picture(1, 0))]).await.unwrap();
        let mut others = JoinSet::new();
        for group in 10..13 {
            let api = Api::clone(&daemon);
            others.spawn(async move {
                for item in 0..40 {
                    let id = api.add("come", picture(group, item)).await.unwrap().image_id;
                    if item % 3 == 0 {
                        api.judge(proto::Side::Discard, &[&id]).await.unwrap();
                    }
                    if item % 2 == 0 {
                        api.delete(ids_filter(&[&id])).await.unwrap();
                    }
                    if item % 20 == 19 {
                        let created = api.create(&format!("c{group}-{item}")).await;
                        created.add("new", picture(1, 1)).await.unwrap();
                    }
                }
            });
        }
        let mut looks = 0;
        while !others.is_empty() {
            let found = report(&daemon).await;
            assert_eq!(found.problems, 0, "hnsw: {hnsw}, look {looks}: {found:?}");
            looks += 1;
            while let Some(ended) = others.try_join_next() {
                ended.unwrap();
            }
        }
        daemon.recluster(dbscan(0.05)).await;
        let found = report(&daemon).await;
        assert_eq!((found.problems, found.skipped.len(), found.collections), (0, 0, 7), "{found:?}");
        let daemon = daemon.restarted().await;
        assert_eq!(report(&daemon).await.problems, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_an_operation() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..6, 300)).await;
    let first = start(&daemon).await.unwrap();
    assert_eq!((first.method.as_str(), first.collection.as_str()), ("Verify", ""));
    // One at a time: the second is refused, or the first was done.
    if let Err(refused) = start(&daemon).await {
        check_error(Err::<(), _>(refused), Code::FailedPrecondition, "OPERATION_RUNNING", "");
    }
    let done = daemon.wait(&first.name).await.unwrap();
    let Some(Ended::Verify(found)) = done.result else { panic!("{done:?}") };
    let count = |kind: &str| found.records.iter().find(|record| record.kind == kind).unwrap().count;
    assert_eq!((found.problems, found.collections, count("embedding"), count("image")), (0, 1, 1500, 1500));
    // It is remembered.
    let daemon = daemon.restarted().await;
    let again = daemon.wait(&first.name).await.unwrap();
    assert_eq!(again.result, Some(Ended::Verify(found)));
}
