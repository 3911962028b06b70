//! Fewer images than an algorithm would like.

use culld::proto;
use culld::proto::parameters::Algorithm;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tonic::Code;

use crate::support::{check_error, encoded, groups, k_means};

use super::{Held, recluster};

/// The same pixels in files of different bytes.
fn identical_pictures() -> Vec<(String, Vec<u8>)> {
    let same = DynamicImage::ImageRgb8(RgbImage::from_pixel(12, 12, Rgb([90, 120, 30])));
    let formats = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP];
    formats.into_iter().map(|format| (format!("{format:?}"), encoded(&same, format))).collect()
}

/// No images, one, two, fewer than k, and nothing but equal ones, for every algorithm.
pub(super) async fn check_few_images(held: &Held) {
    let algorithms = [
        Algorithm::Auto(proto::AutoParameters {}),
        Algorithm::KMeans(proto::KMeansParameters::default()),
        Algorithm::KMedoids(proto::KMedoidsParameters::default()),
        Algorithm::Dbscan(proto::DbscanParameters::default()),
        Algorithm::Optics(proto::OpticsParameters::default()),
        Algorithm::Birch(proto::BirchParameters::default()),
        Algorithm::Hdbscan(proto::HdbscanParameters::default()),
    ];
    let sets = [
        ("none", Vec::new()),
        ("one", groups([1], 1)),
        ("two", groups(1..3, 1)),
        ("identical", identical_pictures()),
    ];
    for (name, pictures) in sets {
        let api = held.daemon.create(name).await;
        let count = pictures.len();
        api.add_new(pictures).await;
        for algorithm in algorithms {
            if count == 0 {
                let refused = recluster(&api, algorithm).await;
                check_error(refused, Code::FailedPrecondition, "NO_IMAGES", "");
                continue;
            }
            let found = api.recluster(algorithm).await;
            assert_eq!(found.images, count as u64, "{algorithm:?} of {name}");
            if name == "identical" && matches!(algorithm, Algorithm::Auto(_) | Algorithm::Hdbscan(_)) {
                let nothing = [proto::RedFlag::NoStructure, proto::RedFlag::AllNoise];
                let flagged = found.red_flags().any(|flag| nothing.contains(&flag));
                assert!(found.clusters == 1 || flagged, "{algorithm:?}: {found:?}");
            }
        }
        let refused = recluster(&api, k_means(count.max(1) as u32 + 1)).await;
        assert!(refused.is_err(), "{name}: fewer images than k");
    }
    held.check_alive("few images").await;
}
