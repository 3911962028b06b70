//! How the counts of a collection go over time.

use culld::growth::{Growth, GrowthPoint, POINTS_MAX};
use culld::proto;
use culld::proto::Side;
use tonic::{Code, Status};

use crate::support::{Api, TestDaemon, check_error, groups};

fn point(at_ms: i64, review: u64) -> GrowthPoint {
    GrowthPoint { at_ms, decided: [0, 0, review] }
}

impl Api {
    async fn growth(&self) -> Result<Vec<proto::GrowthPoint>, Status> {
        let request = proto::GetGrowthRequest { collection: self.collection.clone() };
        Ok(self.admin().get_growth(request).await?.into_inner().points)
    }
}

fn counts(point: &proto::GrowthPoint) -> [u64; 4] {
    [point.images, point.decided_keep, point.decided_discard, point.in_review]
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_recorded_and_outlive_a_restart() {
    let daemon = TestDaemon::start().await;
    // One that is recorded, and the one of the moment.
    while daemon.growth().await.unwrap().len() < 2 {}
    let ids = daemon.add_new(groups(0..2, 3)).await;
    let before = daemon.growth().await.unwrap();
    assert_eq!(before.iter().map(counts).collect::<Vec<_>>(), [[0; 4], [6, 0, 0, 6]]);
    for (key, id) in &ids {
        let side = if key.starts_with("0/") { Side::Keep } else { Side::Discard };
        daemon.judge(side, &[id]).await.unwrap();
    }
    let daemon = daemon.restarted().await;
    let after = daemon.growth().await.unwrap();
    assert_eq!(after[0], before[0], "what was recorded is kept");
    assert_eq!(counts(after.last().unwrap()), [6, 3, 3, 0]);
    let times: Vec<_> = after.iter().map(|point| point.time.map(|time| (time.seconds, time.nanos))).collect();
    assert!(times.is_sorted(), "{times:?}");
    check_error(daemon.at("nowhere").growth().await, Code::NotFound, "NOT_FOUND", "");
}

#[test]
fn a_history_is_bounded_however_long_it_gets() {
    for apart_ms in [1_000, 10_000, 3_600_000] {
        let mut growth = Growth::default();
        for number in 0..20_000 {
            growth.note(point(number * apart_ms, number.unsigned_abs()));
        }
        let points = growth.points();
        assert!((POINTS_MAX / 4..=POINTS_MAX).contains(&points.len()), "{}", points.len());
        assert_eq!(points[0], point(0, 0), "the beginning stays");
        assert!(points.is_sorted_by(|a, b| a.at_ms < b.at_ms && a.decided[2] < b.decided[2]));
        let widest = points.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).max().unwrap();
        assert!(widest <= 20_000 * apart_ms / 64, "no part of it is lost: {widest} ms");
    }
}

#[test]
fn what_is_as_before_or_too_soon_is_not_noted() {
    let mut growth = Growth::default();
    let steps = [
        (point(0, 1), true, "the first"),
        (point(9_999, 2), false, "too soon"),
        (point(10_000, 1), false, "as before"),
        (point(10_001, 2), true, "another count, late enough"),
        (point(5_000, 3), true, "the clock was set back"),
    ];
    for (point, noted, name) in steps {
        assert_eq!(growth.note(point), noted, "{name}");
    }
    assert_eq!(growth.points(), [point(0, 1), point(5_000, 3)], "nothing is later than now");
}
