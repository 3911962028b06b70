//! Groups of near-duplicates, a page at a time.

use std::sync::Arc;

use tonic::Status;

use crate::engine::{
    Collection, DuplicateGroup, DuplicateMember, DuplicateQuery, Duplicates, Engine, EngineError, Thresholds,
};
use crate::proto;

use super::caller::reach;
use super::convert;
use super::page::{Page, Position};
use super::status::{on_collection, status};

/// Members told of one group at most.
const GROUP_MEMBERS_MAX: usize = 1000;
/// Members on a page at most, but for its first group.
const PAGE_MEMBERS_MAX: usize = 10_000;

/// Answers one page.
pub(super) async fn find(
    engine: &Arc<Engine>,
    mut request: proto::FindDuplicatesRequest,
) -> Result<proto::FindDuplicatesResponse, Status> {
    reach(&request.collection)?;
    let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
    let page = Page::of("FindDuplicates", &request, size, &token)?;
    let (distance, hash_distance) = (request.distance, request.hash_distance);
    let filter = convert::filter_from(request.filter)?;
    let find = move |collection: Arc<Collection>| {
        let thresholds = thresholds(&collection, distance, hash_distance)?;
        collection.duplicates(&DuplicateQuery { filter, thresholds })
    };
    let found = on_collection(engine, request.collection, find).await?;
    if page.position.is_some_and(|position| position.generation != found.generation.0) {
        return Err(status(EngineError::Precondition {
            reason: "GENERATION_CHANGED",
            message: "images came or went since the page before: start again without page_token".into(),
        }));
    }
    Ok(response(&found, page))
}

/// Those asked for, each else the policy's; `None` where neither is asked for.
fn thresholds(
    collection: &Collection,
    distance: Option<f64>,
    hash_distance: Option<f64>,
) -> Result<Option<Thresholds>, EngineError> {
    if distance.is_none() && hash_distance.is_none() {
        return Ok(None);
    }
    let (policy, _, _) = collection.policy();
    let thresholds = Thresholds {
        distance: distance.unwrap_or(policy.duplicate_distance),
        hash_distance: hash_distance.unwrap_or(policy.duplicate_hash_distance),
    };
    let rows = [
        ("distance", thresholds.distance, 2.0, "(0, 2]"),
        ("hash_distance", thresholds.hash_distance, 0.5, "(0, 0.5]"),
    ];
    // A range holds no NaN.
    match rows.into_iter().find(|&(_, value, max, _)| !(f64::MIN_POSITIVE..=max).contains(&value)) {
        Some((field, value, _, range)) => {
            Err(EngineError::invalid(field, format!("is {value}, but must be in {range}")))
        }
        None => Ok(Some(thresholds)),
    }
}

fn response(found: &Duplicates, page: Page) -> proto::FindDuplicatesResponse {
    let (first, mut members) = (page.skip(), 0);
    let mut groups = Vec::new();
    for found in found.groups.iter().skip(first).take(page.size) {
        let group = group(found);
        members += group.members.len();
        if members > PAGE_MEMBERS_MAX && !groups.is_empty() {
            break;
        }
        groups.push(group);
    }
    let after = first + groups.len();
    let more = after < found.groups.len();
    let next = more.then_some(Position { generation: found.generation.0, after: after as u64 });
    proto::FindDuplicatesResponse {
        next_page_token: page.token(next),
        groups,
        generation: found.generation.0,
        total_groups: found.groups.len() as u64,
        compared: found.compared,
        without_hash: found.without_hash,
    }
}

fn group(group: &DuplicateGroup) -> proto::DuplicateGroup {
    proto::DuplicateGroup {
        members: group.members.iter().take(GROUP_MEMBERS_MAX).map(member).collect(),
        reason: group.reason.clone(),
        size: group.members.len() as u64,
    }
}

fn member(member: &DuplicateMember) -> proto::DuplicateMember {
    proto::DuplicateMember {
        image_id: member.image.to_string(),
        width_px: member.width,
        height_px: member.height,
        size_bytes: member.bytes,
        add_time: Some(convert::timestamp(member.added_ms)),
        distance: member.distance.into(),
        hash_distance: member.hash_distance.into(),
    }
}
