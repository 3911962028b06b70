//! What is wrong with a picture, as measured when it is added: on real pictures, whole and spoilt, and through the API.

use std::path::Path;

use culld::decode::{self, Defect, Limits, Measures, decode};
use culld::proto;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::support::{TestDaemon, encoded, png, shared_data};

fn measure(bytes: &[u8]) -> Option<Measures> {
    let picture = decode(bytes, &Limits::default(), 320).ok()?;
    Some(decode::look(&picture).unwrap().measures)
}

/// The pictures of these classes of a set, at most so many.
fn set(data: &Path, name: &str, classes: &[&str], max: usize) -> Vec<Vec<u8>> {
    let folder = data.join(name);
    let labels = std::fs::read_to_string(folder.join("labels.csv")).unwrap();
    let files = labels.lines().skip(1).filter_map(|line| line.split_once(','));
    let files = files.filter(|(_, class)| classes.is_empty() || classes.contains(class)).take(max);
    files.map(|(file, _)| std::fs::read(folder.join("images").join(file)).unwrap()).collect()
}

/// The share of pictures with a defect; those that can't be decoded are none.
fn share(pictures: &[Vec<u8>], defect: Defect) -> f64 {
    let found: Vec<bool> =
        pictures.iter().filter_map(|bytes| Some(measure(bytes)?.defects().contains(defect))).collect();
    found.iter().filter(|found| **found).count() as f64 / found.len().max(1) as f64
}

fn processed(pictures: &[Vec<u8>], change: impl Fn(&RgbImage) -> RgbImage) -> Vec<Vec<u8>> {
    let change = |bytes: &Vec<u8>| {
        let picture = image::load_from_memory(bytes).unwrap().into_rgb8();
        encoded(&DynamicImage::ImageRgb8(change(&picture)), ImageFormat::Jpeg)
    };
    pictures.iter().map(change).collect()
}

fn levels(picture: &RgbImage, change: impl Fn(f32) -> f32) -> RgbImage {
    let mut picture = picture.clone();
    picture.pixels_mut().for_each(|pixel| {
        pixel.0 = pixel.0.map(|level| change(f32::from(level)).clamp(0.0, 255.0) as u8);
    });
    picture
}

/// Averages along a line of so many pixels at an angle, looked at every quarter of a pixel.
fn moved(picture: &RgbImage, length: u32, angle: f32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let steps = 4 * length;
    RgbImage::from_fn(width, height, |x, y| {
        let mut sums = [0.0f32; 3];
        for step in 0..steps {
            let along = (step as f32 + 0.5) / 4.0 - length as f32 / 2.0;
            let at = |from: u32, by: f32, end: u32| {
                (from as f32 + along * by).round().clamp(0.0, (end - 1) as f32) as u32
            };
            let pixel = picture.get_pixel(at(x, angle.cos(), width), at(y, angle.sin(), height));
            (0..3).for_each(|channel| sums[channel] += f32::from(pixel[channel]));
        }
        Rgb(sums.map(|sum| (sum / steps as f32).round() as u8))
    })
}

#[test]
fn defects_of_the_set_are_found() {
    let Some(data) = shared_data() else { return };
    let good = set(&data, "quality", &["good"], 1000);
    let kinds: [(Defect, &[&str]); 4] = [
        (Defect::Blurred, &["blurry", "motion_blur"]),
        (Defect::Dark, &["dark"]),
        (Defect::Overexposed, &["overexposed"]),
        (Defect::Uniform, &["uniform"]),
    ];
    for (defect, classes) in kinds {
        let bad = set(&data, "quality", classes, 1000);
        let (recall, wrong) = (share(&bad, defect), share(&good, defect));
        let (hits, false_hits) = (recall * bad.len() as f64, wrong * good.len() as f64);
        let precision = hits / (hits + false_hits);
        eprintln!("{defect:?}: precision {precision:.3}, recall {recall:.3} of {}", bad.len());
        assert!(precision >= 0.9 && recall >= 0.9, "{defect:?}: precision {precision}, recall {recall}");
    }
    let wrong = share(&good, Defect::LowEntropy);
    assert_eq!(wrong, 0.0, "low entropy");
    assert_eq!(share(&set(&data, "quality", &["uniform"], 1000), Defect::LowEntropy), 1.0);
}

#[test]
fn other_strengths_are_found_as_well() {
    let Some(data) = shared_data() else { return };
    let good = [set(&data, "quality", &["good"], 50), set(&data, "houses", &[], 30)].concat();
    let check = |name: &str, defect: Defect, change: &dyn Fn(&RgbImage) -> RgbImage| {
        let found = share(&processed(&good, change), defect);
        eprintln!("{defect:?}, {name}: {found:.3}");
        assert!(found >= 0.9, "{defect:?}, {name}: {found}");
    };
    for sigma in [1.5, 2.0, 3.0, 6.0] {
        let blur = |picture: &RgbImage| image::imageops::blur(picture, sigma);
        check(&format!("Gaussian of {sigma} px"), Defect::Blurred, &blur);
    }
    for length in [7, 9, 15] {
        for angle in [0.0, 0.4, 0.8, 1.6, 2.2] {
            let name = format!("motion of {length} px at {angle}");
            check(&name, Defect::Blurred, &|picture| moved(picture, length, angle));
        }
    }
    for factor in [4.0, 8.0] {
        let small = |picture: &RgbImage| {
            let side = |side: u32| (side as f32 / factor) as u32;
            let (width, height) = picture.dimensions();
            let small = image::imageops::thumbnail(picture, side(width), side(height));
            image::imageops::resize(&small, width, height, FilterType::CatmullRom)
        };
        check(&format!("scaled up {factor} times"), Defect::Blurred, &small);
    }
    for gain in [0.05, 0.1, 0.2, 0.3] {
        check(&format!("light times {gain}"), Defect::Dark, &|picture| levels(picture, |level| level * gain));
    }
    check("gamma of 4", Defect::Dark, &|picture| {
        levels(picture, |level| 0.3 * 255.0 * (level / 255.0).powi(4))
    });
    for gain in [3.0, 4.0, 6.0] {
        check(&format!("light times {gain}"), Defect::Overexposed, &|picture| {
            levels(picture, |level| level * gain)
        });
    }
}

/// What is as it should be is not called defective, be it bright, gray or plain.
#[test]
fn sound_pictures_are_seldom_called_defective() {
    let Some(data) = shared_data() else { return };
    let sets: [(&str, &[&str]); 10] = [
        ("zoo", &[]),
        ("houses", &[]),
        ("trashnet", &[]),
        ("docs", &["page_clean_pdf"]),
        ("docs", &["page_scan_synthetic"]),
        ("docs", &["receipt_scan"]),
        ("docs", &["chart"]),
        ("docs", &["screenshot"]),
        ("docs", &["xray"]),
        ("docs", &["photo"]),
    ];
    for (name, classes) in sets {
        let pictures = set(&data, name, classes, 150);
        let found = Defect::ALL.map(|defect| share(&pictures, defect));
        eprintln!("{name} {classes:?}: blurred, dark, overexposed, uniform, low entropy: {found:.3?}");
        for (defect, found) in Defect::ALL.into_iter().zip(found) {
            assert!(found <= 0.1, "{name} {classes:?}: {defect:?} {found}");
        }
    }
}

#[test]
fn measures_are_what_they_say() {
    let of = |picture: &RgbImage| measure(&png(picture)).unwrap();
    let blank = of(&RgbImage::from_pixel(64, 64, Rgb([40, 40, 40])));
    assert_eq!((blank.hash, blank.sharpness, blank.deviation, blank.entropy), (None, None, 0.0, 0.0));
    assert_eq!((blank.exposure.brightness, blank.exposure.clipped), (40, 0.0));
    let halves = RgbImage::from_fn(64, 64, |x, _| if x < 32 { Rgb([0; 3]) } else { Rgb([255; 3]) });
    let halves = of(&halves);
    assert_eq!((halves.sharpness, halves.deviation, halves.entropy), (Some(1.0), 127.5, 1.0));
    assert_eq!(halves.exposure.clipped, 0.5);
    assert_eq!(halves.exposure.partly_clipped, 0.0, "white is no loss");
    let ramp = of(&RgbImage::from_fn(64, 64, |x, _| Rgb([4 * x as u8; 3])));
    assert_eq!(ramp.sharpness, Some(0.25));
    assert_eq!(of(&RgbImage::from_fn(8, 8, |x, y| Rgb([(x * y) as u8; 3]))).sharpness, None, "too small");
}

#[tokio::test(flavor = "multi_thread")]
async fn defects_are_told_and_filtered_by() {
    let daemon = TestDaemon::start().await;
    let tiles = |light: f64| {
        png(&RgbImage::from_fn(64, 64, |x, y| {
            let level = light * f64::from(x / 8 * 5 % 7 + y / 8 * 3 % 11) / 16.0;
            Rgb([level as u8, (level * 0.9) as u8, (level * 0.8) as u8])
        }))
    };
    let bright = daemon.add("bright", tiles(240.0)).await.unwrap().image_id;
    let dark = daemon.add("dark", tiles(60.0)).await.unwrap().image_id;
    let blank = png(&RgbImage::from_pixel(64, 64, Rgb([200, 180, 160])));
    let blank = daemon.add("blank", blank).await.unwrap().image_id;
    let defects = |image: &proto::Image| image.defects().collect::<Vec<_>>();
    assert_eq!(defects(&daemon.image(&bright).await.unwrap()), []);
    let image = daemon.image(&dark).await.unwrap();
    assert_eq!(defects(&image), [proto::Defect::Dark]);
    assert!(image.measures.unwrap().brightness <= 60);
    let listed: Vec<_> = daemon.list().await.iter().map(defects).collect();
    let plain = [proto::Defect::Uniform, proto::Defect::LowEntropy];
    assert_eq!(listed[..2], [vec![], vec![proto::Defect::Dark]]);
    assert!(plain.iter().all(|defect| listed[2].contains(defect)), "{listed:?}");

    let select = async |defects: Vec<proto::Defect>| {
        let defects = defects.into_iter().map(i32::from).collect();
        let filter = Some(proto::ImageFilter { defects, ..Default::default() });
        let request = proto::ListImagesRequest { filter, ..Default::default() };
        let images = daemon.images().list_images(request).await.unwrap().into_inner().images;
        images.into_iter().map(|image| image.image_id).collect::<Vec<_>>()
    };
    assert_eq!(select(vec![proto::Defect::Dark]).await, std::slice::from_ref(&dark));
    assert_eq!(
        select(vec![proto::Defect::Dark, proto::Defect::Uniform]).await,
        [dark.clone(), blank.clone()]
    );
    assert_eq!(select(vec![proto::Defect::Blurred]).await, [""; 0]);
    // A fact, no verdict.
    let request = proto::ExplainDecisionRequest { image_id: blank.clone(), ..Default::default() };
    let told = daemon.decisions().explain_decision(request).await.unwrap().into_inner();
    assert!(told.defects().any(|defect| defect == proto::Defect::Uniform), "{told:?}");
    assert_eq!(told.decision.unwrap().reason(), proto::DecisionReason::NothingJudged);
    // They come back with the store.
    let daemon = daemon.restarted().await;
    assert_eq!(defects(&daemon.image(&dark).await.unwrap()), [proto::Defect::Dark]);
}
