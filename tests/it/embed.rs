//! The built-in model, models from files, and the workers that run them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};

use culld::decode::{DecodeError, DecodedImage, Format, Limits, SIDE_MAX, decode, thumbnail};
use culld::embed::{
    EmbedError, Geometry, Job, Model, ModelSource, ModelSpec, Pipeline, PipelineOptions, PixelTensor,
    PrepareError, Prepared, SubmitError, load_runtime, preprocess,
};
use culld::setup::install_runtime;
use culld::types::{Embedding, ImageId, dot};

use crate::decode::{jpeg, labelled_set, labels, scene};
use crate::support::png;

/// The built-in model, loaded once; ONNX Runtime is fetched if it has to be.
fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        install_runtime(&mut |_| {}).unwrap();
        Model::load(&ModelSource::BuiltIn, None).unwrap()
    })
}

fn fake() -> Model {
    Model::load(&ModelSource::Fake, None).unwrap()
}

fn decoded(bytes: &[u8], shortest_side_min: u32) -> DecodedImage {
    decode(bytes, &Limits::default(), shortest_side_min).unwrap()
}

fn input(width: u32, height: u32, seed: u32) -> PixelTensor {
    let image = decoded(&jpeg(&scene(width, height, seed), 95), u32::MAX);
    preprocess(&image, model().spec()).unwrap()
}

fn options(workers: usize, queue_max: usize) -> PipelineOptions {
    PipelineOptions { workers, queue_max, limits: Limits::default() }
}

/// A job and where its result will come.
fn job(bytes: &[u8]) -> (Job, Receiver<Result<Prepared, PrepareError>>) {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    (Job { bytes: bytes.into(), cancelled: Arc::new(AtomicBool::new(false)), done }, receiver)
}

fn same_bits(a: &Embedding, b: &Embedding) -> bool {
    a.as_slice().iter().map(|value| value.to_bits()).eq(b.as_slice().iter().map(|value| value.to_bits()))
}

/// BLAKE3 of an input's bits.
fn digest(tensor: &PixelTensor) -> String {
    let mut hasher = blake3::Hasher::new();
    for value in &tensor.values {
        hasher.update(&value.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn the_built_in_model_has_its_space() {
    let space = model().space();
    assert_eq!(space.dim, 1280);
    assert_eq!(space.numeric_mode, "x86-int8");
    assert_eq!(space.id().len(), 64);
    let other = culld::embed::EmbeddingSpace { dim: 1281, ..space.clone() };
    assert_ne!(space.id(), other.id());
}

#[test]
fn bits_do_not_depend_on_batch_session_or_thread() {
    let inputs: Vec<PixelTensor> = (0..16).map(|seed| input(200 + seed * 9, 160, seed)).collect();
    let reference = model().embedder().unwrap().embed(&inputs).unwrap();
    for size in 1..=16 {
        let mut embedder = model().embedder().unwrap();
        let chunks: Vec<Embedding> =
            inputs.chunks(size).flat_map(|chunk| embedder.embed(chunk).unwrap()).collect();
        assert!(chunks.iter().zip(&reference).all(|(a, b)| same_bits(a, b)), "batches of {size}");
    }
    let in_threads: Vec<Embedding> = std::thread::scope(|scope| {
        let spawn = |input| {
            scope.spawn(move || model().embedder().unwrap().embed(std::slice::from_ref(input)).unwrap())
        };
        let threads: Vec<_> = inputs.iter().map(spawn).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(in_threads.iter().zip(&reference).all(|(a, b)| same_bits(a, b)));
}

#[test]
fn bits_of_inputs_are_the_same_on_every_machine() {
    // Enlarged and reduced, upright and flat, squashed and cropped; pixels come from integer arithmetic alone.
    let crop = "input_size = 160\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nlayout = \"nhwc\"\n\
                geometry = \"crop\"\ninterpolation = \"lanczos\"\n";
    let crop = ModelSpec::from_toml(crop).unwrap();
    let mut hasher = blake3::Hasher::new();
    for (width, height) in [(640, 480), (100, 300), (224, 224), (31, 17), (1, 1)] {
        let picture = scene(width, height, 2);
        let image = DecodedImage {
            rgb: picture.into_raw(),
            width,
            height,
            original_width: width,
            original_height: height,
            format: Format::Png,
        };
        for spec in [model().spec(), &crop] {
            hasher.update(digest(&preprocess(&image, spec).unwrap()).as_bytes());
        }
    }
    assert_eq!(
        hasher.finalize().to_hex().as_str(),
        "0b32eed747c21ee8cc289869baebeb74613b224a7d7ea2c8669e2c0bd99a1e71"
    );
}

/// One side of 65,535 pixels and the largest input: what is held in between two passes must not be their product.
#[test]
fn the_longest_pictures_become_inputs() {
    let largest = "input_size = 1024\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\nlayout = \"nchw\"\n";
    let [largest, crop] = [largest.to_owned(), format!("{largest}geometry = \"crop\"\n")]
        .map(|text| ModelSpec::from_toml(&text).unwrap());
    for (width, height) in [(SIDE_MAX, 1), (1, SIDE_MAX), (SIDE_MAX, 3)] {
        // The first half black, the second one white.
        let half = |at: u32| if at * 2 < width.max(height) { 0 } else { 255 };
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([half(if width > height { x } else { y }); 3])
        });
        let bytes = png(&picture);
        let image = decoded(&bytes, u32::MAX);
        for spec in [&largest, model().spec(), &crop] {
            let input = preprocess(&image, spec).unwrap();
            let (size, values) = (input.size as usize, &input.values[..(input.size * input.size) as usize]);
            assert_eq!(input.values.len(), 3 * size * size);
            let (first, last) = (values[0], values[size * size - 1]);
            assert!(first < last || spec.geometry == Geometry::Crop, "{width} x {height}: {first} to {last}");
            let along = if width > height { values[size - 1] } else { values[size * (size - 1)] };
            assert_eq!(along, last, "{width} x {height}");
        }
        assert!(decoded(&thumbnail(&image).unwrap(), 1).original_width <= 320);
    }
}

#[test]
fn a_jpeg_decoded_small_has_nearly_the_same_embedding() {
    let mut embedder = model().embedder().unwrap();
    let picture =
        image::imageops::resize(&scene(500, 400, 3), 2600, 2080, image::imageops::FilterType::CatmullRom);
    let bytes = jpeg(&picture, 90);
    let small = decoded(&bytes, model().spec().shortest_side_min());
    assert_eq!((small.width, small.height), (650, 520));
    let full = decoded(&bytes, u32::MAX);
    let inputs = [small, full].map(|image| preprocess(&image, model().spec()).unwrap());
    let embeddings = embedder.embed(&inputs).unwrap();
    let cosine = dot(embeddings[0].as_slice(), embeddings[1].as_slice());
    assert!(cosine > 0.98, "cosine {cosine}");
}

#[test]
fn pictures_of_a_kind_are_nearer_than_others() {
    let Some(folder) = labelled_set("zoo") else { return };
    let mut embedder = model().embedder().unwrap();
    let mut embed = |class: &str| -> Vec<Embedding> {
        let files = labels(&folder).into_iter().filter(|(_, found)| found == class).take(8);
        let prepared = files.map(|(file, _)| {
            let image = decoded(&std::fs::read(file).unwrap(), model().spec().shortest_side_min());
            preprocess(&image, model().spec()).unwrap()
        });
        embedder.embed(&prepared.collect::<Vec<_>>()).unwrap()
    };
    let (pandas, pizzas) = (embed("panda"), embed("pizza"));
    let mean = |a: &[Embedding], b: &[Embedding]| {
        let sum: f32 = a.iter().flat_map(|x| b.iter().map(|y| dot(x.as_slice(), y.as_slice()))).sum();
        sum / (a.len() * b.len()) as f32
    };
    let (within, across) = (mean(&pizzas, &pizzas), mean(&pandas, &pizzas));
    assert!(within > across + 0.2, "within {within}, across {across}");
}

#[test]
fn a_model_comes_from_two_files() {
    install_runtime(&mut |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("net.onnx");
    let source = ModelSource::File(onnx.clone());
    let load = || Model::load(&source, None).map(|model| model.space().clone());
    assert!(matches!(load(), Err(EmbedError::Read { .. })));
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/models/efficientnet-lite0-int8.onnx");
    std::fs::copy(built_in, &onnx).unwrap();
    assert!(matches!(load(), Err(EmbedError::Read { .. })));

    let good =
        "input_size = 224\nmean = [0.498, 0.498, 0.498]\nstd = [0.502, 0.502, 0.502]\nlayout = \"nchw\"\n";
    let toml = onnx.with_extension("toml");
    std::fs::write(&toml, good).unwrap();
    let space = load().unwrap();
    assert_eq!((space.dim, &space.model_digest), (1280, &model().space().model_digest));
    let loaded = Model::load(&source, None).unwrap();
    let picture = input(300, 200, 8);
    let embed =
        |model: &Model| model.embedder().unwrap().embed(std::slice::from_ref(&picture)).unwrap().remove(0);
    assert!(same_bits(&embed(&loaded), &embed(model())));

    let refused = [
        (good.replace("224", "240"), "input"),
        (good.replace("nchw", "nhwc"), "input"),
        (format!("{good}input = \"nothing\"\n"), "nothing"),
        (format!("{good}output = \"nothing\"\n"), "nothing"),
        (format!("{good}pooling = \"global_average\"\n"), "pooling"),
        (good.replace("224", "7"), "input_size"),
        (good.replace("0.502, 0.502]", "0.502, 0.0]"), "std"),
        (good.replace("mean", "meant"), "meant"),
        (format!("{good}crop_fraction = 1.5\n"), "crop_fraction"),
        (format!("{good}sha256 = \"{}\"\n", "0".repeat(64)), "SHA-256"),
    ];
    for (text, expected) in refused {
        std::fs::write(&toml, &text).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains(expected), "{error} does not say {expected:?}");
    }
    std::fs::write(&toml, good).unwrap();
    std::fs::write(&onnx, "no model").unwrap();
    assert!(matches!(load(), Err(EmbedError::Session(_))));
}

#[test]
fn a_runtime_that_is_none_is_an_error_not_a_crash() {
    // In a process of its own this loads nothing; here another test may have loaded the right one already.
    if let Err(error) = load_runtime(Some(std::path::Path::new("/nowhere/libonnxruntime.so"))) {
        assert!(error.to_string().contains("culld setup"), "{error}");
    }
}

#[test]
fn the_pipeline_prepares_images_alike_with_any_number_of_workers() {
    let files: Vec<Vec<u8>> = (0..12).map(|seed| jpeg(&scene(400 + seed * 10, 300, seed), 85)).collect();
    let prepare = |workers: usize| -> Vec<Prepared> {
        let pipeline = Pipeline::start(model(), &options(workers, 4)).unwrap();
        let jobs: Vec<_> = files.iter().map(|bytes| job(bytes)).collect();
        let (jobs, results): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        jobs.into_iter().for_each(|job| pipeline.submit(job).unwrap());
        pipeline.drain();
        results.into_iter().map(|result| result.recv().unwrap().unwrap()).collect()
    };
    let (alone, together) = (prepare(1), prepare(3));
    for ((bytes, a), b) in files.iter().zip(&alone).zip(&together) {
        assert_eq!(a, b);
        assert!(same_bits(&a.embedding, &b.embedding));
        assert_eq!((a.id, a.bytes_len, a.format), (ImageId::of(bytes), bytes.len() as u64, Format::Jpeg));
        assert!(decoded(&a.thumbnail, 1).original_width == 320);
    }
}

#[test]
fn a_bad_image_is_an_outcome_and_the_next_one_is_not() {
    let pipeline = Pipeline::start(&fake(), &options(1, 8)).unwrap();
    assert_eq!(pipeline.space().dim, 64);
    let (bad, bad_result) = job(b"<html>");
    let (cancelled, cancelled_result) = job(b"x");
    cancelled.cancelled.store(true, Ordering::Release);
    let mut panicking = job(b"").0;
    panicking.done = Box::new(|_| panic!("a receiver's panic must not end the worker"));
    let (good, good_result) = job(&jpeg(&scene(40, 30, 0), 90));
    for job in [bad, cancelled, panicking, good] {
        pipeline.submit(job).unwrap();
    }
    assert!(matches!(
        bad_result.recv().unwrap(),
        Err(PrepareError::Decode(DecodeError::UnsupportedFormat { .. }))
    ));
    assert_eq!(cancelled_result.recv().unwrap(), Err(PrepareError::Cancelled));
    let good = good_result.recv().unwrap().unwrap();
    assert_eq!((good.width, good.height), (40, 30));
}

#[test]
fn a_full_queue_refuses_and_a_stopping_pipeline_answers_all() {
    let pipeline = Pipeline::start(&fake(), &options(1, 2)).unwrap();
    // The worker is held up by the first job's receiver.
    let (hold, held) = channel::<()>();
    let (entered, in_hand) = channel();
    let mut first = job(b"x").0;
    first.done = Box::new(move |_| {
        entered.send(()).unwrap();
        let _ = held.recv();
    });
    pipeline.submit(first).unwrap();
    in_hand.recv().unwrap();
    let (second, second_result) = job(b"x");
    let (third, third_result) = job(b"x");
    pipeline.try_submit(second).unwrap();
    pipeline.try_submit(third).unwrap();
    assert_eq!(pipeline.waiting(), 2);
    assert_eq!(pipeline.try_submit(job(b"x").0), Err(SubmitError::Overloaded { queue_max: 2 }));
    pipeline.stop();
    assert_eq!(pipeline.try_submit(job(b"x").0), Err(SubmitError::Stopped));
    drop(hold);
    drop(pipeline);
    for result in [second_result, third_result] {
        assert_eq!(result.recv().unwrap(), Err(PrepareError::Stopped));
    }
}

#[test]
fn the_fake_model_tells_colours_apart() {
    let model = fake();
    let embed = |rgb: [u8; 3]| {
        let bytes = jpeg(&image::RgbImage::from_pixel(32, 32, image::Rgb(rgb)), 95);
        let image = decoded(&bytes, u32::MAX);
        model.embedder().unwrap().embed(&[preprocess(&image, model.spec()).unwrap()]).unwrap().remove(0)
    };
    let (red, dark_red, blue) = (embed([250, 0, 0]), embed([230, 10, 10]), embed([0, 0, 250]));
    assert!(dot(red.as_slice(), dark_red.as_slice()) > 0.95);
    assert!(dot(red.as_slice(), blue.as_slice()) < 0.5);
    embed([128, 128, 128]);
    embed([0, 0, 0]);
}
