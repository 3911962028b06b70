//! `culld duplicates`

use std::collections::HashMap;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, PAGE_SIZE};
use super::error::CliError;
use super::filter::FilterArgs;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::set_verdict_request::Target;
use crate::proto::{
    BatchGetDecisionsRequest, DecisionKind, DecisionReason, DuplicateGroup, DuplicateMember,
    FindDuplicatesRequest, ImagesTarget, SetVerdictRequest, Side,
};

/// Groups asked for at a time.
const PAGE_GROUPS: u32 = 1000;

/// Show groups of near-duplicates, the picture to keep first
///
/// That is the one with the most pixels, of those the one with the most bytes, of those the one added first. With
/// --discard the others are discarded as its duplicates, which says nothing of other pictures like them. What you looked
/// at yourself stays as you said, and a picture that you kept is the one to keep.
///
/// Example: culld duplicates
///
/// Example: culld duplicates --source-prefix holiday/ --discard --really
#[derive(Debug, Args)]
pub(super) struct DuplicatesArgs {
    /// How far (cosine distance, above 0 to 2) pictures with the same perceptual hash may be apart [default: the policy's]
    #[arg(long, value_name = "DISTANCE")]
    distance: Option<f64>,
    /// Share of the hash's bits that pictures with the same embedding may differ by, above 0 to 0.5 [default: the
    /// policy's]
    #[arg(long, value_name = "SHARE")]
    hash_distance: Option<f64>,
    /// Say what would be discarded: all but the first of each group; a verdict on its own each
    #[arg(long)]
    discard: bool,
    /// Discard them; no file is touched
    #[arg(long, requires = "discard")]
    really: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// All groups, and how many pictures were looked at.
#[derive(Default)]
struct Found {
    groups: Vec<DuplicateGroup>,
    compared: u64,
    without_hash: u64,
}

/// Shows duplicates, and discards them where told.
pub(super) async fn run(
    args: DuplicatesArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let (discard, really) = (args.discard, args.really);
    let found = find(args, &mut client).await?;
    let ids = found.groups.iter().flat_map(|group| &group.members).map(|member| member.image_id.clone());
    let names = client.names(ids.collect()).await?;
    let name = |member: &DuplicateMember| names.get(&member.image_id).cloned().unwrap_or_default();
    let mut table = Table::new(&["group", "keep", ">distance", ">hash", ">pixels", ">size", "image", "file"]);
    let mut groups = Vec::new();
    for (number, group) in (1..).zip(&found.groups) {
        for (place, member) in group.members.iter().enumerate() {
            table.row([
                if place == 0 { number.to_string() } else { String::new() },
                if place == 0 { "keep".into() } else { String::new() },
                format!("{:.4}", member.distance),
                format!("{:.4}", member.hash_distance),
                format!("{} x {}", member.width_px, member.height_px),
                words::bytes(member.size_bytes),
                member.image_id.clone(),
                words::printable(&name(member)),
            ]);
        }
        groups.push(object(group, name));
    }
    out.table(&table);
    let extra: u64 = found.groups.iter().map(|group| group.size - 1).sum();
    out.line(format!(
        "{} groups among {} pictures: {extra} are duplicates{}",
        found.groups.len(),
        found.compared,
        match found.without_hash {
            0 => String::new(),
            count => format!("; {count} more have no perceptual hash and were left out"),
        }
    ));
    let discarded =
        if discard { Some(discard_all(&found.groups, really, &mut client, out).await?) } else { None };
    out.object(&json!({
        "groups": groups,
        "duplicates": extra,
        "compared": found.compared,
        "without_hash": found.without_hash,
        "discarded": discarded,
        "dry_run": discard && !really,
    }));
    Ok(Outcome::Done)
}

async fn find(args: DuplicatesArgs, client: &mut Client) -> Result<Found, CliError> {
    let mut request = FindDuplicatesRequest {
        collection: client.collection.clone(),
        distance: args.distance,
        hash_distance: args.hash_distance,
        filter: Some(args.filter.resolve(client).await?),
        page_size: PAGE_GROUPS,
        page_token: String::new(),
    };
    let mut found = Found::default();
    loop {
        let page = client.images.find_duplicates(request.clone()).await?.into_inner();
        found.groups.extend(page.groups);
        (found.compared, found.without_hash) = (page.compared, page.without_hash);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// What people said of these images themselves.
async fn seen_words(
    members: &[DuplicateMember],
    client: &mut Client,
) -> Result<HashMap<String, DecisionKind>, CliError> {
    let mut words = HashMap::new();
    for some in members.chunks(PAGE_SIZE as usize) {
        let request = BatchGetDecisionsRequest {
            collection: client.collection.clone(),
            image_ids: some.iter().map(|member| member.image_id.clone()).collect(),
            ..Default::default()
        };
        let found = client.decisions.batch_get_decisions(request).await?.into_inner().decisions;
        let seen = found.into_iter().filter(|one| one.reason() == DecisionReason::SeenLabel);
        words.extend(seen.map(|one| (one.image_id.clone(), one.decision())));
    }
    Ok(words)
}

/// Discards all of each group but the one to keep and those that people looked at and kept, or counts them. A group
/// whose best picture was looked at and discarded, and none kept, is left alone: nothing of it was wanted.
async fn discard_all(
    groups: &[DuplicateGroup],
    really: bool,
    client: &mut Client,
    out: &mut Output,
) -> Result<u64, CliError> {
    let mut discarded = 0;
    for group in groups {
        let seen = seen_words(&group.members, client).await?;
        let was = |member: &&DuplicateMember, kind| seen.get(&member.image_id) == Some(&kind);
        let kept = group.members.iter().find(|member| was(member, DecisionKind::Keep));
        let Some(keeper) = kept.or_else(|| group.members.first()) else { continue };
        if was(&keeper, DecisionKind::Discard) {
            continue;
        }
        let others = group
            .members
            .iter()
            .filter(|member| member.image_id != keeper.image_id && !seen.contains_key(&member.image_id));
        let image_ids: Vec<String> = others.map(|member| member.image_id.clone()).collect();
        discarded += image_ids.len() as u64;
        if !really || image_ids.is_empty() {
            continue;
        }
        let request = SetVerdictRequest {
            collection: client.collection.clone(),
            side: Side::Discard.into(),
            target: Some(Target::Images(ImagesTarget { image_ids })),
            duplicate_of_image_id: keeper.image_id.clone(),
            actor: client.actor.clone(),
            ..Default::default()
        };
        client.decisions.set_verdict(request).await?;
    }
    let what = if really { "discarded" } else { "would discard" };
    out.line(format!(
        "{what} {discarded} pictures as duplicates{}",
        if really { "" } else { "; --really does it" }
    ));
    Ok(discarded)
}

fn object(group: &DuplicateGroup, name: impl Fn(&DuplicateMember) -> String) -> Value {
    let member = |member: &DuplicateMember| {
        json!({
            "image_id": member.image_id,
            "file": name(member),
            "width_px": member.width_px,
            "height_px": member.height_px,
            "size_bytes": member.size_bytes,
            "add_time": words::time(member.add_time.as_ref()),
            "distance": member.distance,
            "hash_distance": member.hash_distance,
        })
    };
    json!({
        "keep": group.members.first().map(|keeper| &keeper.image_id),
        "reason": group.reason,
        "size": group.size,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
}
