//! Callers of what `killed` has no model of its own for: answers, policies, collections and backups.

use std::collections::BTreeMap;
use std::path::PathBuf;

use culld::proto;
use tonic::{Code, Status};

use super::killed::Notes;
use crate::support::{Api, groups, picture};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Others {
    answers: u64,
    asked_answers: u64,
    policy: f64,
    asked_policy: Option<f64>,
    /// Collections by name: whether it is there, `None` while that was asked for and not acknowledged.
    collections: BTreeMap<String, Option<bool>>,
    uniques: u64,
    pub(super) backups_made: Vec<PathBuf>,
}

impl Others {
    /// A number that was never given before.
    pub(super) fn unique(&mut self) -> u64 {
        self.uniques += 1;
        self.uniques
    }
}

/// The collection that is reviewed.
const REVIEWED: &str = "reviewed";

/// Answers review items, and takes some answers back, until the daemon is gone.
pub(super) async fn review(api: Api, notes: Notes) -> Result<(), Status> {
    let request = proto::CreateCollectionRequest { collection: REVIEWED.into(), ..Default::default() };
    match api.collections().create_collection(request).await {
        Err(status) if status.code() != Code::AlreadyExists => return Err(status),
        _ => {}
    }
    let api = api.at(REVIEWED);
    loop {
        for group in 1..4 {
            // New ones now and then, so that there is always something to ask about.
            let item = notes.others(Others::unique);
            api.add(&format!("{group}/{item}"), picture(group, item)).await?;
        }
        let collection = REVIEWED.to_owned();
        let next = proto::NextReviewRequest { collection: collection.clone(), ..Default::default() };
        let Some(item) = api.decisions().next_review(next).await?.into_inner().item else { continue };
        notes.others(|others| others.asked_answers += 1);
        let answer = proto::AnswerReviewRequest {
            collection: collection.clone(),
            item_id: item.item_id,
            answer: proto::ReviewAnswer::Keep.into(),
            request_id: format!("answer {}", notes.others(Others::unique)),
            ..Default::default()
        };
        let answered = api.decisions().answer_review(answer.clone()).await?.into_inner();
        notes.others(|others| {
            others.asked_answers -= 1;
            others.answers += 1;
        });
        notes.word();
        let again = api.decisions().answer_review(answer).await?.into_inner();
        assert_eq!(again, answered, "a retry gets the first answer");
        let event_sequence = answered.event_sequence;
        let undo = proto::UndoEventRequest { collection, event_sequence, ..Default::default() };
        api.decisions().undo_event(undo).await?;
        notes.word();
    }
}

/// Changes the policy until the daemon is gone.
pub(super) async fn set_policies(api: Api, notes: Notes) -> Result<(), Status> {
    loop {
        let radius = notes.others(|others| {
            let radius = 0.1 + (others.unique() % 800) as f64 / 1000.0;
            others.asked_policy = Some(radius);
            radius
        });
        let policy = Some(proto::Policy { standing_radius: Some(radius), ..Default::default() });
        api.collections().set_policy(proto::SetPolicyRequest { policy, ..Default::default() }).await?;
        notes.others(|others| (others.policy, others.asked_policy) = (radius, None));
        notes.word();
        // It decides everything anew; the others want their turns, too.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Makes and deletes collections until the daemon is gone.
pub(super) async fn make_collections(api: Api, notes: Notes) -> Result<(), Status> {
    loop {
        let name = format!("c{}", notes.others(Others::unique));
        notes.others(|others| others.collections.insert(name.clone(), None));
        let request = proto::CreateCollectionRequest { collection: name.clone(), ..Default::default() };
        api.collections().create_collection(request).await?;
        notes.others(|others| others.collections.insert(name.clone(), Some(true)));
        notes.word();
        let images =
            groups(1..3, 2).into_iter().map(|(key, bytes)| (format!("{name}/{key}"), bytes)).collect();
        api.at(&name).add_all(images).await?;
        notes.others(|others| others.collections.insert(name.clone(), None));
        let request = proto::DeleteCollectionRequest { collection: name.clone(), ..Default::default() };
        api.collections().delete_collection(request).await?;
        notes.others(|others| others.collections.insert(name, Some(false)));
        notes.word();
    }
}

/// Makes backups until the daemon is gone.
pub(super) async fn back_up(api: Api, notes: Notes) -> Result<(), Status> {
    loop {
        let number = notes.others(Others::unique);
        let request = proto::BackupRequest { name: format!("{number}.backup"), request_id: String::new() };
        let operation = api.admin().backup(request).await?.into_inner().operation.unwrap();
        match api.wait(&operation.name).await?.result {
            Some(proto::operation::Result::Backup(report)) => {
                notes.others(|others| others.backups_made.push(report.path.into()));
                notes.word();
            }
            // The daemon stops in order.
            Some(proto::operation::Result::Error(error)) => return Err(Status::cancelled(error.message)),
            other => panic!("{other:?}"),
        }
        // One after the other would take all there is.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Checks what holds after a restart, and settles what was asked for and not acknowledged.
pub(super) async fn check(api: &Api, others: &mut Others, round: u64) {
    let request = proto::ListCollectionsRequest { page_size: 1000, ..Default::default() };
    let listed = api.collections().list_collections(request).await.unwrap().into_inner().collections;
    let listed: Vec<&str> = listed.iter().map(|collection| collection.name.as_str()).collect();
    for (name, there) in &others.collections {
        let found = listed.contains(&name.as_str());
        assert!(there.is_none_or(|there| there == found), "round {round}: {name} {there:?}, {found}");
    }
    // Each is spoken of once.
    for name in
        std::mem::take(&mut others.collections).into_keys().filter(|name| listed.contains(&name.as_str()))
    {
        let request = proto::DeleteCollectionRequest { collection: name, ..Default::default() };
        api.collections().delete_collection(request).await.unwrap();
    }
    if listed.contains(&REVIEWED) {
        let stats = api.at(REVIEWED).stats().await;
        let answers = others.answers..=others.answers + others.asked_answers;
        assert!(answers.contains(&stats.judgements), "round {round}: {} of {answers:?}", stats.judgements);
        (others.answers, others.asked_answers) = (stats.judgements, 0);
    } else {
        assert_eq!(others.answers, 0, "round {round}: the reviewed collection is lost");
    }
    let policy = api.collections().get_policy(proto::GetPolicyRequest::default()).await.unwrap().into_inner();
    let radius = policy.policy.unwrap().standing_radius.unwrap();
    let asked = others.asked_policy.take();
    let expected = others.policy == 0.0 || radius == others.policy || Some(radius) == asked;
    assert!(expected, "round {round}: a radius of {radius}, neither {} nor {asked:?}", others.policy);
    others.policy = radius;
    let operation =
        api.admin().verify(proto::VerifyRequest {}).await.unwrap().into_inner().operation.unwrap();
    match api.wait(&operation.name).await.unwrap().result {
        Some(proto::operation::Result::Verify(report)) => {
            assert_eq!(report.problems, 0, "round {round}: {report:?}");
        }
        other => panic!("{other:?}"),
    }
}
