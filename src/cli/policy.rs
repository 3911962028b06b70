//! `culld policy`

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::filter::DecisionWord;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{DecisionKind, GetPolicyRequest, Policy, SetPolicyRequest};

/// Show or change how a collection decides
///
/// Every knob has a default that works. A change makes a new version of the policy; what is not named stays.
///
/// Example: culld policy set --standing-margin 0.08
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the policy in force (the default)
    Show,
    /// Change it
    Set(SetArgs),
}

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[group(required = true, multiple = true)]
struct SetArgs {
    /// By how much nearer (cosine distance, 0 to 2) the winning side must be for a standing verdict
    #[arg(long, value_name = "DISTANCE")]
    standing_margin: Option<f64>,
    /// How far (cosine distance, 0 to 2) a standing verdict reaches from a picture judged singly
    #[arg(long, value_name = "DISTANCE")]
    standing_radius: Option<f64>,
    /// Share of a cluster's members that must carry labels for the others to inherit, above 0 to 1
    #[arg(long, value_name = "SHARE")]
    inheritance_quorum: Option<f64>,
    /// Share of implied labels that must agree for members to inherit, above 0.5 to 1
    #[arg(long, value_name = "SHARE")]
    inheritance_agreement: Option<f64>,
    /// How sure of the other side the classifier must be for an implied or inherited side to become doubtful, above 0.5
    /// to 1; 1 never does
    #[arg(long, value_name = "PROBABILITY")]
    doubt_threshold: Option<f64>,
    /// How far (cosine distance, 0 to 2) near-duplicates with the same perceptual hash may be apart; 0: no picture is
    /// discarded for being one
    #[arg(long, value_name = "DISTANCE")]
    duplicate_distance: Option<f64>,
    /// Share of the hash's bits that near-duplicates with the same embedding may differ by, above 0 to 0.5
    #[arg(long, value_name = "SHARE")]
    duplicate_hash_distance: Option<f64>,
    /// What to answer for a picture in review: review, or keep for callers that know two answers only
    #[arg(long, value_enum)]
    answer_in_review: Option<DecisionWord>,
    /// Weight of precision in the Quality Metric, 0 to 1; recall has the rest
    #[arg(long, value_name = "WEIGHT")]
    precision_weight: Option<f64>,
    /// Cluster anew once pictures have grown by this share since, 0.5 is by half; 0 never does
    #[arg(long, value_name = "SHARE")]
    recluster_growth: Option<f64>,
    /// Cluster anew once the share of pictures in no cluster has risen above this; 0 never does
    #[arg(long, value_name = "SHARE")]
    recluster_noise: Option<f64>,
    /// Cluster anew so many hours after the last time, where anything changed; 0 never does
    #[arg(long, value_name = "HOURS")]
    recluster_hours: Option<f64>,
}

/// Shows or sets the policy.
pub(super) async fn run(args: PolicyArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let collection = client.collection.clone();
    let policy = match args.action.unwrap_or(Action::Show) {
        Action::Show => {
            client.collections.get_policy(GetPolicyRequest { collection }).await?.into_inner().policy
        }
        Action::Set(set) => {
            let actor = client.actor.clone();
            let policy = Some(set.into());
            let request = SetPolicyRequest { collection, policy, request_id: String::new(), actor };
            client.collections.set_policy(request).await?.into_inner().policy
        }
    };
    print(&policy.ok_or(CliError::Answer("the policy"))?, out);
    Ok(Outcome::Done)
}

impl From<SetArgs> for Policy {
    fn from(set: SetArgs) -> Self {
        Self {
            standing_margin: set.standing_margin,
            standing_radius: set.standing_radius,
            inheritance_quorum: set.inheritance_quorum,
            inheritance_agreement: set.inheritance_agreement,
            doubt_threshold: set.doubt_threshold,
            answer_in_review: set.answer_in_review.map_or(0, |word| DecisionKind::from(word).into()),
            precision_weight: set.precision_weight,
            recluster_growth: set.recluster_growth,
            recluster_noise: set.recluster_noise,
            recluster_hours: set.recluster_hours,
            duplicate_distance: set.duplicate_distance,
            duplicate_hash_distance: set.duplicate_hash_distance,
            ..Self::default()
        }
    }
}

fn print(policy: &Policy, out: &mut Output) {
    let shares = [
        ("standing_margin", policy.standing_margin),
        ("standing_radius", policy.standing_radius),
        ("inheritance_quorum", policy.inheritance_quorum),
        ("inheritance_agreement", policy.inheritance_agreement),
        ("doubt_threshold", policy.doubt_threshold),
        ("precision_weight", policy.precision_weight),
        ("recluster_growth", policy.recluster_growth),
        ("recluster_noise", policy.recluster_noise),
        ("recluster_hours", policy.recluster_hours),
        ("duplicate_distance", policy.duplicate_distance),
        ("duplicate_hash_distance", policy.duplicate_hash_distance),
    ];
    let answer = words::decision(policy.answer_in_review());
    let updated = words::time(policy.update_time.as_ref());
    let mut table = Table::new(&["knob", ">value"]);
    let mut object = json!({"version": policy.version, "answer_in_review": answer, "update_time": updated});
    table.row(["version".into(), policy.version.to_string()]);
    for (name, value) in shares {
        table.row([name.replace('_', "-"), value.map_or(String::new(), |value| value.to_string())]);
        object[name] = json!(value);
    }
    table.row(["answer-in-review".into(), answer]);
    table.row(["set".into(), updated]);
    out.table(&table);
    out.object(&object);
}
