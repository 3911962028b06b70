//! Clusterings, clusters and parameters.

use crate::cluster::{EpsLook, Extraction, KMeansStart, OpticsLook, Parameters, RedFlag};
use crate::engine::{ClusterHead, ClusteringHead, LineageChange, LineageEvent, Suggestion};
use crate::proto;
use crate::proto::optics_parameters::Extraction as ProtoExtraction;
use crate::proto::parameters::Algorithm;

use super::timestamp;

/// Steepness where OPTICS is asked for without an extraction.
const XI_DEFAULT: f32 = 0.05;

/// A parameter as it was typed: 0.1 is kept as the nearest f32, whose shortest decimal is 0.1 again.
fn told(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

fn parameters(parameters: &Parameters) -> proto::Parameters {
    let algorithm = match *parameters {
        Parameters::Auto => Algorithm::Auto(proto::AutoParameters {}),
        Parameters::KMeans { k, max_iterations, restarts, start } => {
            let start = start.map_or(proto::KMeansStart::Unspecified, |start| match start {
                KMeansStart::Ward => proto::KMeansStart::Ward,
                KMeansStart::PlusPlus => proto::KMeansStart::PlusPlus,
            });
            let start = start.into();
            Algorithm::KMeans(proto::KMeansParameters { k, max_iterations, restarts, start })
        }
        Parameters::KMedoids { k } => Algorithm::KMedoids(proto::KMedoidsParameters { k }),
        Parameters::Dbscan { eps, min_points } => {
            Algorithm::Dbscan(proto::DbscanParameters { eps: eps.map(told), min_points })
        }
        Parameters::Optics { min_points, max_eps, extraction } => {
            Algorithm::Optics(proto::OpticsParameters {
                min_points,
                max_eps: max_eps.map(told),
                extraction: Some(match extraction {
                    Extraction::Xi(xi) => ProtoExtraction::Xi(told(xi)),
                    Extraction::Eps(eps) => ProtoExtraction::Eps(told(eps)),
                }),
            })
        }
        Parameters::Birch { threshold, branching, k } => {
            Algorithm::Birch(proto::BirchParameters { threshold: threshold.map(told), branching, k })
        }
        Parameters::Hdbscan { min_cluster_size, min_samples } => {
            Algorithm::Hdbscan(proto::HdbscanParameters { min_cluster_size, min_samples })
        }
    };
    proto::Parameters { algorithm: Some(algorithm) }
}

/// Nothing said means auto. Ranges are checked by [`Parameters::check`].
pub(in crate::grpc) fn parameters_from(parameters: Option<proto::Parameters>) -> Parameters {
    let narrow = |value: Option<f64>| value.map(|value| value as f32);
    match parameters.and_then(|parameters| parameters.algorithm) {
        None | Some(Algorithm::Auto(_)) => Parameters::Auto,
        Some(Algorithm::KMeans(p)) => {
            let start = match p.start() {
                proto::KMeansStart::Unspecified => None,
                proto::KMeansStart::Ward => Some(KMeansStart::Ward),
                proto::KMeansStart::PlusPlus => Some(KMeansStart::PlusPlus),
            };
            Parameters::KMeans { k: p.k, max_iterations: p.max_iterations, restarts: p.restarts, start }
        }
        Some(Algorithm::KMedoids(proto::KMedoidsParameters { k })) => Parameters::KMedoids { k },
        Some(Algorithm::Dbscan(proto::DbscanParameters { eps, min_points })) => {
            Parameters::Dbscan { eps: narrow(eps), min_points }
        }
        Some(Algorithm::Optics(proto::OpticsParameters { min_points, max_eps, extraction })) => {
            Parameters::Optics {
                min_points,
                max_eps: narrow(max_eps),
                extraction: match extraction {
                    None => Extraction::Xi(XI_DEFAULT),
                    Some(ProtoExtraction::Xi(xi)) => Extraction::Xi(xi as f32),
                    Some(ProtoExtraction::Eps(eps)) => Extraction::Eps(eps as f32),
                },
            }
        }
        Some(Algorithm::Birch(proto::BirchParameters { threshold, branching, k })) => {
            Parameters::Birch { threshold: narrow(threshold), branching, k }
        }
        Some(Algorithm::Hdbscan(proto::HdbscanParameters { min_cluster_size, min_samples })) => {
            Parameters::Hdbscan { min_cluster_size, min_samples }
        }
    }
}

/// A clustering; its k-distance curve only where asked for.
pub(in crate::grpc) fn clustering(
    head: &ClusteringHead,
    active: bool,
    with_curve: bool,
) -> proto::Clustering {
    proto::Clustering {
        clustering_id: head.id,
        algorithm: head.algorithm.clone(),
        requested: Some(parameters(&head.requested)),
        parameters: Some(parameters(&head.parameters)),
        seed: head.seed,
        generation: head.generation.0,
        create_time: Some(timestamp(head.created_ms)),
        active,
        images: head.images,
        clusters: head.clusters.len() as u32,
        noise: head.noise,
        red_flags: head.flags.iter().map(|flag| red_flag(flag).into()).collect(),
        explanation: head.explanation.clone(),
        neighbour_recall: head.neighbour_recall.map(f64::from),
        approximate: head.approximate,
        index: head
            .neighbour_recall
            .map_or("", |_| if head.approximate { "hnsw" } else { "flat" })
            .to_owned(),
        seconds: head.seconds,
        k_distances: if with_curve { head.k_distances.clone() } else { Vec::new() },
        knee: head.knee.filter(|_| with_curve).map(f64::from),
    }
}

/// Something that happened to a cluster that is followed.
pub(in crate::grpc) fn lineage_event(event: &LineageEvent) -> proto::LineageEvent {
    let (change, other) = match event.change {
        LineageChange::Appeared => (proto::LineageChange::Appeared, None),
        LineageChange::Vanished => (proto::LineageChange::Vanished, None),
        LineageChange::MergedInto(other) => (proto::LineageChange::Merged, Some(other)),
        LineageChange::SplitFrom(other) => (proto::LineageChange::Split, Some(other)),
    };
    proto::LineageEvent {
        generation: event.generation.0,
        time: Some(timestamp(event.at_ms)),
        cluster_id: event.cluster.0,
        change: change.into(),
        other_cluster_id: other.map(|cluster| cluster.0),
    }
}

/// What the images say of themselves.
pub(in crate::grpc) fn parameter_card(suggestion: Suggestion) -> proto::ParameterCard {
    let Suggestion { card, images, generation } = suggestion;
    let look = |look: EpsLook| proto::EpsLook {
        eps: told(look.eps),
        clusters: look.clusters as u32,
        noise_share: look.noise_share.into(),
        core_share: look.core_share.into(),
        largest_share: look.largest_share.into(),
        red_flags: look.flags.iter().map(|flag| red_flag(flag).into()).collect(),
    };
    let optics = |look: OpticsLook| proto::OpticsLook {
        xi: told(look.xi),
        xi_clusters: look.xi_clusters as u32,
        xi_noise_share: look.xi_noise_share.into(),
        cut_clusters: look.cut_clusters as u32,
        cut_noise_share: look.cut_noise_share.into(),
    };
    proto::ParameterCard {
        min_points: card.min_points,
        k_distances: card.k_distances,
        knee: card.knee.map(told),
        looks: card.looks.into_iter().map(look).collect(),
        optics: card.optics.map(optics),
        clustering_tendency: card.clustering_tendency.into(),
        choice: Some(parameters(&card.choice)),
        explanation: card.explanation,
        neighbour_recall: card.neighbour_recall.into(),
        approximate: card.approximate,
        images,
        generation: generation.0,
    }
}

fn red_flag(flag: &RedFlag) -> proto::RedFlag {
    match flag {
        RedFlag::NoStructure { .. } => proto::RedFlag::NoStructure,
        RedFlag::AllNoise => proto::RedFlag::AllNoise,
        RedFlag::GiantCluster { .. } => proto::RedFlag::OneGiantCluster,
        RedFlag::NearlyAllCore { .. } => proto::RedFlag::NearlyAllCore,
        RedFlag::Chaining { .. } => proto::RedFlag::Chaining,
    }
}

/// A cluster with the labels among its members: keep, discard.
pub(in crate::grpc) fn cluster(
    head: &ClusteringHead,
    cluster: &ClusterHead,
    labelled: [u64; 2],
) -> proto::Cluster {
    let [labelled_keep, labelled_discard] = labelled;
    proto::Cluster {
        cluster_id: cluster.id.0,
        clustering_id: head.id,
        generation: head.generation.0,
        size: cluster.size,
        medoid_image_id: cluster.medoid.to_string(),
        radius: f64::from(cluster.radius),
        sample_image_ids: cluster.samples.iter().map(ToString::to_string).collect(),
        parents: cluster
            .parents
            .iter()
            .map(|(parent, images)| proto::ClusterParent { cluster_id: parent.0, images: *images })
            .collect(),
        labelled_keep,
        labelled_discard,
    }
}
