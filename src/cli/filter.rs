//! The flags that select images.

use clap::{Args, ValueEnum};
use prost_types::Timestamp;

use super::client::Client;
use super::error::CliError;
use crate::proto::{DecisionKind, Defect, ImageFilter};

/// A decision, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DecisionWord {
    /// Needed.
    Keep,
    /// Not needed.
    Discard,
    /// A person has to look.
    Review,
}

impl From<DecisionWord> for DecisionKind {
    fn from(word: DecisionWord) -> Self {
        match word {
            DecisionWord::Keep => Self::Keep,
            DecisionWord::Discard => Self::Discard,
            DecisionWord::Review => Self::Review,
        }
    }
}

/// A defect, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DefectWord {
    /// Nothing in it is sharp.
    Blurred,
    /// Nearly all of it is dark.
    Dark,
    /// Much of it is clipped.
    Overexposed,
    /// It has no structure.
    Uniform,
    /// Nearly all of it is of one tone.
    LowEntropy,
}

impl From<DefectWord> for Defect {
    fn from(word: DefectWord) -> Self {
        match word {
            DefectWord::Blurred => Self::Blurred,
            DefectWord::Dark => Self::Dark,
            DefectWord::Overexposed => Self::Overexposed,
            DefectWord::Uniform => Self::Uniform,
            DefectWord::LowEntropy => Self::LowEntropy,
        }
    }
}

/// Selects images: what is given must all hold.
#[derive(Debug, Clone, Args)]
pub(super) struct FilterArgs {
    /// One of these pictures: ids or source keys
    #[arg(long, value_name = "IMAGE", num_args = 1..)]
    image: Vec<String>,
    /// Has a source whose key starts so
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    source_prefix: String,
    /// Has a source with all of these tags
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// In one of these clusters of the active clustering
    #[arg(long, value_name = "ID", num_args = 1..)]
    cluster: Vec<u64>,
    /// Noise in the active clustering
    #[arg(long)]
    noise: bool,
    /// With one of these decisions
    #[arg(long, value_enum, value_delimiter = ',')]
    decision: Vec<DecisionWord>,
    /// With one of these defects
    #[arg(long, value_enum, value_delimiter = ',')]
    defect: Vec<DefectWord>,
    /// Added at or after this time, such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME")]
    added_after: Option<Timestamp>,
    /// Added before this time
    #[arg(long, value_name = "TIME")]
    added_before: Option<Timestamp>,
}

impl From<FilterArgs> for ImageFilter {
    fn from(args: FilterArgs) -> Self {
        Self {
            image_ids: args.image,
            source_prefix: args.source_prefix,
            tags: args.tag,
            added_after: args.added_after,
            added_before: args.added_before,
            cluster_ids: args.cluster,
            noise: args.noise,
            defects: args.defect.into_iter().map(|word| Defect::from(word).into()).collect(),
            decisions: args.decision.into_iter().map(|word| DecisionKind::from(word).into()).collect(),
        }
    }
}

impl FilterArgs {
    /// The filter, with pictures that are named by key told by id.
    pub(super) async fn resolve(mut self, client: &mut Client) -> Result<ImageFilter, CliError> {
        self.image = client.resolve_all(&self.image).await?;
        Ok(self.into())
    }

    /// Whether nothing is given, so that every image would be selected.
    pub(super) fn is_empty(&self) -> bool {
        ImageFilter::from(self.clone()) == ImageFilter::default()
    }
}
