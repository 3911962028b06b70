//! Near-duplicates on the command line.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::Daemon;

/// Stripes, other ones for each number.
fn stripes(number: u32) -> RgbImage {
    RgbImage::from_fn(160, 120, |x, y| {
        let wave = |a: u32, b: u32| 127.0 + 100.0 * (f64::from(a * x + b * y + number * 40) / 40.0).sin();
        Rgb([wave(2, number) as u8, wave(number, 3) as u8, wave(3, 1 + number) as u8])
    })
}

#[test]
fn duplicates_are_shown_and_discarded() {
    let images = tempfile::tempdir().unwrap();
    for number in [1, 4] {
        let large = stripes(number);
        large.save(images.path().join(format!("{number}-large.png"))).unwrap();
        let small = imageops::resize(&large, 80, 60, FilterType::Triangle);
        small.save(images.path().join(format!("{number}-small.png"))).unwrap();
    }
    stripes(7).save(images.path().join("7-alone.png")).unwrap();
    let daemon = Daemon::start();
    daemon.add(images.path()).code(0);
    let found = daemon.run(["duplicates"]).code(0).json();
    let groups = found["groups"].as_array().unwrap();
    assert_eq!(
        (groups.len(), &found["duplicates"], &found["compared"]),
        (2, &2.into(), &5.into()),
        "{found}"
    );
    for group in groups {
        let [keeper, other] = &group["members"].as_array().unwrap()[..] else { panic!("{group}") };
        let name = |member: &serde_json::Value| member["file"].as_str().unwrap().to_owned();
        assert_eq!(name(keeper).replace("large", "small"), name(other));
        assert_eq!((&group["keep"], &keeper["width_px"]), (&keeper["image_id"], &160.into()));
        assert!(group["reason"].as_str().unwrap().contains("most pixels"), "{group}");
    }
    let filtered = daemon.run(["duplicates", "--source-prefix", "1-"]).code(0).json();
    assert_eq!(filtered["groups"].as_array().unwrap().len(), 1);
    let strict = daemon.run(["duplicates", "--distance", "1e-9"]).code(0).json();
    assert_eq!(strict["duplicates"], 0);
    daemon.run(["duplicates", "--distance", "0"]).code(2);
    daemon.run(["duplicates", "--really"]).code(2);

    let dry = daemon.run(["duplicates", "--discard"]).code(0).json();
    assert_eq!((&dry["discarded"], &dry["dry_run"]), (&2.into(), &true.into()));
    assert_eq!(daemon.run(["decisions", "--decision", "discard"]).code(0).json()["counts"]["images"], 0);
    let done = daemon.run(["duplicates", "--discard", "--really"]).code(0).json();
    assert_eq!((&done["discarded"], &done["dry_run"]), (&2.into(), &false.into()));
    let discarded = daemon.run(["decisions", "--decision", "discard"]).code(0).json();
    assert_eq!(discarded["counts"]["images"], 2, "the duplicates, and not what is like them: {discarded}");
    let told = daemon.run(["explain", "1-large.png"]).code(0).json();
    assert!(told["defects"].is_array() && told["measures"]["sharpness"].is_number(), "{told}");
    assert_eq!(daemon.run(["decisions", "--defect", "dark,uniform"]).code(0).json()["counts"]["images"], 0);
}
