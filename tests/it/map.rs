//! The map: pictures that are alike lie together, and nobody moves for newcomers.

use std::collections::BTreeMap;

use culld::map::{Layout, Place};
use culld::proto;
use culld::review::{DIRECTIONS, Point};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tonic::{Code, Status};

use crate::support::{Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, picture};

/// Unit points around centres in all directions; as many groups as two axes can't tell apart.
fn points(count: usize, groups: usize, seed: u64) -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |scale: f32| -> Point {
        std::array::from_fn(|_| {
            let value: f32 = StandardNormal.sample(&mut rng);
            scale * value
        })
    };
    let centres: Vec<Point> = (0..groups).map(|_| normal(1.0)).collect();
    let one = |row: usize, noise: Point| -> Point {
        let sum: Point = std::array::from_fn(|axis| centres[row % groups][axis] + noise[axis]);
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
        sum.map(|value| value / length)
    };
    (0..count).map(|row| one(row, normal(0.5))).collect()
}

fn squared<const D: usize>(a: &[f32; D], b: &[f32; D]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The `k` nearest others of a row.
fn near<const D: usize>(all: &[[f32; D]], row: usize, k: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..all.len()).filter(|&other| other != row).collect();
    others.sort_by(|&a, &b| squared(&all[row], &all[a]).total_cmp(&squared(&all[row], &all[b])));
    others.truncate(k);
    others
}

/// The share of the 10 nearest on the map that are among the 30 nearest in truth.
fn kept(points: &[Point], places: &[Place]) -> f64 {
    let rows = (0..points.len()).step_by(7);
    let one = |row: usize| {
        let truth = near(points, row, 30);
        near(places, row, 10).iter().filter(|other| truth.contains(other)).count() as f64 / 10.0
    };
    rows.clone().map(one).sum::<f64>() / rows.count() as f64
}

#[test]
fn neighbours_stay_neighbours() {
    let points = points(700, 18, 1);
    let layout = Layout::fit(&points);
    let places = layout.place(&points);
    let axes: Vec<Place> = points.iter().map(|point| [point[0], point[1]]).collect();
    let (ours, two_axes) = (kept(&points, &places), kept(&points, &axes));
    assert!(ours > 0.6 && ours > 2.0 * two_axes, "{ours} against {two_axes}");
    let widest = places.iter().flatten().fold(0.0f32, |widest, value| widest.max(value.abs()));
    assert!((0.9..=1.001).contains(&widest), "{widest}");
    // Of a group's images that were not laid out, almost all lie nearest to their own.
    let layout = Layout::fit(&points[..350]);
    let places = layout.place(&points);
    let right = (350..700).filter(|&row| {
        near(&places[..350], 0, 1).len() == 1 && {
            let nearest = (0..350).min_by(|&a, &b| {
                squared(&places[row], &places[a]).total_cmp(&squared(&places[row], &places[b]))
            });
            nearest.is_some_and(|other| other % 18 == row % 18)
        }
    });
    let right = right.count();
    assert!(right >= 315, "{right} of 350");
}

#[test]
fn a_place_depends_on_the_sample_and_the_image_alone() {
    let points = points(400, 6, 2);
    let layout = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Layout::fit(&points[..300]))
    };
    assert_eq!(layout(1), layout(2));
    let layout = layout(2);
    let all = layout.place(&points);
    for rows in [0..1, 17..300, 399..400] {
        let alone = layout.place(&points[rows.clone()]);
        for (alone, all) in alone.iter().zip(&all[rows]) {
            assert!(squared(alone, all) < 1e-8, "{alone:?} {all:?}");
        }
    }
}

#[test]
fn any_points_get_places() {
    let nothing = [0.0; DIRECTIONS];
    let missing = [f32::NAN; DIRECTIONS];
    let large = [f32::MAX; DIRECTIONS];
    let sets: [&[Point]; 7] = [
        &[],
        &[nothing],
        &[nothing; 40],
        &[missing; 20],
        &[large; 20],
        &[nothing, missing, large],
        &points(3, 2, 3),
    ];
    for sample in sets {
        let layout = Layout::fit(sample);
        for others in sets {
            let places = layout.place(others);
            assert_eq!(places.len(), others.len());
            assert!(places.iter().flatten().all(|value| (-1.001..=1.001).contains(value)), "{places:?}");
        }
    }
}

async fn page(api: &Api, request: proto::GetMapRequest) -> Result<proto::GetMapResponse, Status> {
    Ok(api.clusterings().get_map(request).await?.into_inner())
}

/// All points, page by page.
async fn map(api: &Api, page_size: u32) -> BTreeMap<String, proto::MapPoint> {
    let (mut points, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let answer =
            page(api, proto::GetMapRequest { page_size, page_token, ..Default::default() }).await.unwrap();
        for point in answer.points {
            assert!(points.insert(point.image_id.clone(), point).is_none());
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return points;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_take_their_places_and_move_nobody() {
    let daemon = TestDaemon::start().await;
    assert!(map(&daemon, 0).await.is_empty());
    daemon.add_new(groups(1..7, 8)).await;
    daemon.recluster(dbscan(0.1)).await;
    let first = map(&daemon, 0).await;
    assert_eq!((first.len(), map(&daemon, 7).await), (48, first.clone()));
    // Each lies nearer to its own group than to the others'.
    let place = |group: u64, item: u64| {
        let point = &first[&id_of(&picture(group, item))];
        [point.x, point.y]
    };
    for group in 1..7 {
        let own = squared(&place(group, 0), &place(group, 1));
        let others = (1..7).filter(|&other| other != group);
        assert!(others.map(|other| squared(&place(group, 0), &place(other, 1))).all(|other| own < other));
    }
    daemon.judge(proto::Side::Keep, &[&id_of(&picture(1, 0))]).await.unwrap();
    daemon.add_new(groups([3], 12).split_off(8)).await;
    let second = map(&daemon, 10).await;
    assert_eq!(second.len(), 52);
    for (image, point) in &first {
        assert_eq!((point.x, point.y), (second[image].x, second[image].y));
    }
    let kept = &second[&id_of(&picture(1, 0))];
    assert_eq!((kept.decision(), kept.provisional_side()), (proto::DecisionKind::Keep, proto::Side::Keep));
    assert_eq!(kept.cluster_id, daemon.image(&kept.image_id).await.unwrap().cluster_id);
    // Where most are new, they are laid out anew; deleted ones are gone.
    daemon.add_new(groups(20..28, 8)).await;
    daemon.delete(ids_filter(&[&id_of(&picture(1, 0))])).await.unwrap();
    let third = map(&daemon, 0).await;
    assert_eq!(third.len(), 115);
    assert!(
        first.keys().filter_map(|image| third.get(image)).any(|point| point.x != first[&point.image_id].x)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_layout() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 5)).await;
    let ask = |page_size, page_token: &str, refresh| proto::GetMapRequest {
        page_size,
        page_token: page_token.to_owned(),
        refresh,
        ..Default::default()
    };
    let first = page(&daemon, ask(4, "", false)).await.unwrap();
    assert_eq!((first.points.len(), first.images), (4, 15));
    // What comes meanwhile is answered at the end.
    daemon.add_new(groups([9], 1)).await;
    let second = page(&daemon, ask(4, &first.next_page_token, false)).await.unwrap();
    assert_eq!((second.points.len(), second.images), (4, 16));
    let rest = page(&daemon, ask(1000, &second.next_page_token, false)).await.unwrap();
    assert_eq!((rest.points.len(), rest.next_page_token), (8, String::new()));
    check_error(
        page(&daemon, ask(4, &first.next_page_token, true)).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "refresh",
    );
    let anew = page(&daemon, ask(4, "", true)).await.unwrap();
    let stale = page(&daemon, ask(4, &first.next_page_token, false)).await;
    check_error(stale, Code::FailedPrecondition, "GENERATION_MISMATCH", "");
    page(&daemon, ask(4, &anew.next_page_token, false)).await.unwrap();
    check_error(
        page(&daemon, ask(1001, "", false)).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
        "page_size",
    );
    let unknown = proto::GetMapRequest { collection: "nowhere".to_owned(), ..Default::default() };
    check_error(page(&daemon, unknown).await, Code::NotFound, "NOT_FOUND", "");
}
