//! `culld keep` and `culld discard`

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, preview, words};
use crate::proto::preview_verdict_request::What;
use crate::proto::set_verdict_request::Target;
use crate::proto::{ClusterTarget, ImagesTarget, SetVerdictRequest, SetVerdictResponse, Side};

/// Images named in one call, at most.
const IMAGES_PER_CALL: usize = 10_000;

/// Say that clusters or pictures are needed
///
/// Example: culld keep --cluster 7 12
///
/// Example: culld keep --cluster 3 --except IMAGE
#[derive(Debug, Args)]
pub(super) struct KeepArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Say that clusters or pictures are not needed; no file is touched
///
/// Example: culld discard --noise --note "blurred"
///
/// Example: culld discard --image IMAGE --duplicate-of OTHER
#[derive(Debug, Args)]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The kept picture that the pictures named by --image are duplicates of; says nothing about others like them
    #[arg(long, value_name = "IMAGE", requires = "image")]
    duplicate_of: Option<String>,
}

#[derive(Debug, Args)]
struct TargetArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// The clustering that the clusters are read from; 0 means the active one
    #[arg(long, default_value_t = 0, value_name = "ID", conflicts_with = "image")]
    clustering: u64,
    /// Members of the cluster that are of the other side: ids or source keys
    #[arg(long, value_name = "IMAGE", num_args = 1.., conflicts_with = "image")]
    except: Vec<String>,
    /// Your words, for the log; at most 1,000 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Only say what would change
    #[arg(long)]
    preview: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhatArgs {
    /// Clusters; a verdict each
    #[arg(long, value_name = "ID", num_args = 1..)]
    cluster: Vec<u64>,
    /// Pictures: ids or source keys
    #[arg(long, value_name = "IMAGE", num_args = 1..)]
    image: Vec<String>,
    /// The pictures in no cluster
    #[arg(long)]
    noise: bool,
}

/// Says keep.
pub(super) async fn keep(args: KeepArgs, client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    set(Side::Keep, args.target, None, client, out).await
}

/// Says discard.
pub(super) async fn discard(
    args: DiscardArgs,
    client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    set(Side::Discard, args.target, args.duplicate_of, client, out).await
}

async fn set(
    side: Side,
    args: TargetArgs,
    duplicate_of: Option<String>,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let TargetArgs { what, clustering, except, note, preview: only_preview } = args;
    if what.cluster.len() > 1 && !except.is_empty() {
        return Err(CliError::Usage("--except goes with a single --cluster".into()));
    }
    if what.image.len() > IMAGES_PER_CALL {
        return Err(CliError::Usage(format!("at most {IMAGES_PER_CALL} pictures can be named at once")));
    }
    let duplicate_of_image_id = match duplicate_of {
        Some(image) => client.resolve(&image).await?,
        None => String::new(),
    };
    let request = SetVerdictRequest {
        collection: client.collection.clone(),
        side: side.into(),
        target: None,
        exception_image_ids: client.resolve_all(&except).await?,
        duplicate_of_image_id,
        note,
        actor: client.actor.clone(),
        request_id: String::new(),
    };
    let cluster =
        |cluster_id| Target::Cluster(ClusterTarget { clustering_id: clustering, cluster_id, generation: 0 });
    let mut targets: Vec<(String, Target)> =
        what.cluster.iter().map(|&id| (format!("cluster {id}"), cluster(Some(id)))).collect();
    if what.noise {
        targets.push(("noise".into(), cluster(None)));
    }
    if !what.image.is_empty() {
        let image_ids = client.resolve_all(&what.image).await?;
        targets.push((format!("{} images", image_ids.len()), Target::Images(ImagesTarget { image_ids })));
    }
    let mut verdicts = Vec::new();
    for (name, target) in targets {
        let request = SetVerdictRequest { target: Some(target), ..request.clone() };
        if only_preview {
            let previewed = preview::ask(&mut client, What::Verdict(request)).await?;
            preview::print(&format!("{} {name}", words::side(side)), &previewed, out);
            let mut object = preview::object(&previewed);
            object["target"] = name.into();
            verdicts.push(object);
            continue;
        }
        let answer = client.decisions.set_verdict(request).await?.into_inner();
        out.line(describe(side, &name, &answer));
        verdicts.push(object(&name, &answer));
    }
    out.object(&json!({"side": words::side(side), "verdicts": verdicts}));
    Ok(Outcome::Done)
}

fn describe(side: Side, name: &str, answer: &SetVerdictResponse) -> String {
    let exceptions = match answer.exceptions {
        0 => String::new(),
        count => format!(", {count} exceptions"),
    };
    format!(
        "{} {name}: {} images labelled{exceptions}, {} decisions changed (event {})",
        words::side(side),
        answer.labelled,
        answer.changed,
        answer.event_sequence
    )
}

fn object(name: &str, answer: &SetVerdictResponse) -> Value {
    json!({
        "target": name,
        "event_sequence": answer.event_sequence,
        "labelled": answer.labelled,
        "exceptions": answer.exceptions,
        "changed": answer.changed,
    })
}
