//! Parameters without guessing, and how exact a clustering was.

use culld::proto;
use culld::proto::parameters::Algorithm;
use tonic::Code;

use crate::support::{Api, TestDaemon, check_error, dbscan, groups};

async fn suggest(api: &Api, min_points: Option<u32>) -> Result<proto::ParameterCard, tonic::Status> {
    let request = proto::SuggestParametersRequest {
        collection: api.collection.clone(),
        min_points,
        ..Default::default()
    };
    Ok(api.clusterings().suggest_parameters(request).await?.into_inner().card.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_is_what_dbscan_gives() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..7, 9)).await;
    let card = suggest(&daemon, Some(4)).await.unwrap();
    assert_eq!((card.min_points, card.images, card.generation), (4, 54, 54));
    assert!(card.k_distances.len() == 54 && card.k_distances.is_sorted());
    assert_eq!((card.neighbour_recall, card.approximate), (1.0, false));
    let radii: Vec<f64> = card.looks.iter().map(|look| look.eps).collect();
    assert!(radii.len() > 8 && radii.is_sorted(), "{radii:?}");
    assert!(radii.contains(&card.knee.unwrap()), "the knee is among them");
    for look in &card.looks {
        let parameters = proto::DbscanParameters { eps: Some(look.eps), min_points: Some(4) };
        let made = daemon.recluster(Algorithm::Dbscan(parameters)).await;
        assert_eq!(look.clusters, made.clusters, "{look:?}");
        assert!((look.noise_share - made.noise as f64 / 54.0).abs() < 1e-6, "{look:?}");
        assert_eq!(look.red_flags, made.red_flags, "{look:?}");
        let largest = daemon.clusters(0).await.first().map_or(0, |cluster| cluster.size);
        assert!((look.largest_share - largest as f64 / 54.0).abs() < 1e-6, "{look:?}");
        assert!((0.0..=1.0).contains(&look.core_share) && look.core_share <= 1.0 - look.noise_share + 1e-6);
    }
    let six = card.looks.iter().filter(|look| look.clusters == 6 && look.noise_share < 0.2);
    assert!(six.count() > 0, "some radius tells the groups apart: {:?}", card.looks);
    let optics = card.optics.unwrap();
    assert_eq!(optics.xi_clusters, 6, "{optics:?}");
    let auto = daemon.recluster(Algorithm::Auto(proto::AutoParameters {})).await;
    let at_default = suggest(&daemon, None).await.unwrap();
    assert_eq!(at_default.explanation, auto.explanation, "auto says what the card says");
    assert_eq!(card.explanation, auto.explanation, "whatever neighbourhood the rest of the card is about");
    let name = |parameters: Option<proto::Parameters>| {
        std::mem::discriminant(&parameters.unwrap().algorithm.unwrap())
    };
    assert_eq!(name(at_default.choice), name(auto.parameters), "and chooses it");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_images_and_wrong_neighbourhoods_are_told() {
    let daemon = TestDaemon::start().await;
    let empty = suggest(&daemon, None).await.unwrap();
    assert_eq!((empty.images, empty.looks.len(), empty.knee), (0, 0, None));
    for (images, looks) in [(1, 0), (2, 1), (12, 1)] {
        daemon.add_new(groups([images], images)).await;
        let card = suggest(&daemon, None).await.unwrap();
        assert!(card.looks.len() >= looks && !card.explanation.is_empty(), "{card:?}");
    }
    for min_points in [0, 1, 16] {
        let refused = suggest(&daemon, Some(min_points)).await;
        check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "min_points");
    }
    check_error(suggest(&daemon.at("nowhere"), None).await, Code::NotFound, "NOT_FOUND", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_compares_all_pairs_whatever_the_index_is() {
    let daemon = TestDaemon::with_hnsw().await;
    daemon.add_new(groups(1..5, 8)).await;
    let hdbscan = proto::HdbscanParameters { min_cluster_size: Some(4), ..Default::default() };
    let hdbscan = proto::parameters::Algorithm::Hdbscan(hdbscan);
    // DBSCAN is exact in any case.
    for (algorithm, exact, index) in
        [(hdbscan, false, "hnsw"), (hdbscan, true, "flat"), (dbscan(0.1), false, "flat")]
    {
        let request = proto::ReclusterRequest {
            parameters: Some(proto::Parameters { algorithm: Some(algorithm) }),
            exact,
            ..Default::default()
        };
        let operation =
            daemon.clusterings().recluster(request).await.unwrap().into_inner().operation.unwrap();
        let done = daemon.wait(&operation.name).await.unwrap();
        let Some(proto::operation::Result::Clustering(made)) = done.result else { panic!("{done:?}") };
        assert_eq!((made.index.as_str(), made.approximate, made.clusters), (index, index == "hnsw", 4));
        assert_eq!(made.neighbour_recall, Some(1.0));
    }
}
