//! What one judgement costs the person who waits: over the wire, with the real model, on pictures made for it.
//!
//! `cargo bench --bench review -- 10000`: adds so many pictures (embedding them takes the time), then answers items and
//! prints medians and the slowest of: the answer itself; the refresh, which is what the next item waits for right after
//! an answer; and `NextReview` once the classifier has caught up.

use std::io::Write as _;
use std::time::{Duration, Instant};

use culld::app::Daemon;
use culld::config::Config;
use culld::proto;
use culld::proto::ReviewAnswer;
use culld::proto::decision_service_client::DecisionServiceClient;
use culld::proto::image_service_client::ImageServiceClient;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::{Channel, Endpoint};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Kinds of pictures; those of the first half are needed.
const KINDS: u64 = 40;
/// Judgements timed.
const JUDGEMENTS: usize = 60;
/// Edge of a picture, in pixels.
const EDGE: u32 = 128;

fn main() -> Outcome {
    let size = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(size.unwrap_or(10_000)))
}

async fn run(images: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let daemon = Daemon::start(Config::temporary(&folder.path().join("data"))).await?;
    let channel = Endpoint::from_shared(format!("http://{}", daemon.address()))?.connect().await?;
    let began = Instant::now();
    add(&channel, images).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{images} images added in {:.0} s", began.elapsed().as_secs_f64())?;
    let mut decisions = DecisionServiceClient::new(channel.clone());
    let began = Instant::now();
    let mut asked = decisions.next_review(proto::NextReviewRequest::default()).await?.into_inner();
    writeln!(out, "first item (features are fitted): {:.0} ms", ms(began.elapsed()))?;
    let (mut answers, mut refreshes, mut nexts) = (Vec::new(), Vec::new(), Vec::new());
    for judgement in 0..JUDGEMENTS {
        let Some(item) = asked.item else { break };
        // Anything will do: what is timed does not depend on who is right.
        let answer = match judgement % 3 {
            0 => ReviewAnswer::Keep,
            1 => ReviewAnswer::Discard,
            _ if item.images > 1 => ReviewAnswer::Mixed,
            _ => ReviewAnswer::Keep,
        };
        let request =
            proto::AnswerReviewRequest { item_id: item.item_id, answer: answer.into(), ..Default::default() };
        let began = Instant::now();
        decisions.answer_review(request).await?;
        answers.push(began.elapsed());
        let began = Instant::now();
        asked = decisions.next_review(proto::NextReviewRequest::default()).await?.into_inner();
        refreshes.push(began.elapsed());
        let began = Instant::now();
        decisions.next_review(proto::NextReviewRequest::default()).await?;
        nexts.push(began.elapsed());
    }
    for (name, mut times) in [("AnswerReview", answers), ("refresh", refreshes), ("NextReview", nexts)] {
        times.sort_unstable();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        writeln!(out, "{name}: median {:.1} ms, slowest {:.1} ms", ms(median), ms(slowest))?;
    }
    drop(out);
    daemon.stop().await;
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn add(channel: &Channel, images: u64) -> Outcome {
    let (send, messages) = tokio::sync::mpsc::channel(64);
    tokio::task::spawn_blocking(move || {
        let header = proto::add_images_request::Message::Header(proto::AddImagesHeader::default());
        let pictures = (0..images).map(|number| {
            let image =
                proto::NewImage { key: number.to_string(), data: picture(number), ..Default::default() };
            proto::add_images_request::Message::Image(image)
        });
        for message in std::iter::once(header).chain(pictures) {
            if send.blocking_send(proto::AddImagesRequest { message: Some(message) }).is_err() {
                break;
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut outcomes = ImageServiceClient::new(channel.clone()).add_images(stream).await?.into_inner();
    while outcomes.message().await?.is_some() {}
    Ok(())
}

/// Stripes and dots in the colours and at the angle of its kind, each picture a little different.
fn picture(number: u64) -> Vec<u8> {
    let mut kind = ChaCha8Rng::seed_from_u64(number % KINDS);
    let mut own = ChaCha8Rng::seed_from_u64(KINDS + number);
    let colours: [[u8; 3]; 3] = std::array::from_fn(|_| kind.random());
    let (angle, width) =
        (kind.random_range(0.0..3.1f32) + own.random_range(-0.1..0.1f32), kind.random_range(4.0..20.0f32));
    let (dots, radius) = (own.random_range(1..12), kind.random_range(3.0..14.0f32));
    let edge = EDGE as f32;
    let centres: Vec<(f32, f32)> =
        (0..dots).map(|_| (own.random_range(0.0..edge), own.random_range(0.0..edge))).collect();
    let image = RgbImage::from_fn(EDGE, EDGE, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let stripe = ((x * angle.cos() + y * angle.sin()) / width).floor() as i32;
        let is_dot = centres.iter().any(|&(a, b)| (a - x).hypot(b - y) < radius);
        Rgb(colours[if is_dot { 2 } else { stripe.rem_euclid(2) as usize }])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Writing to memory can't fail; an empty picture would be told as rejected.
    drop(DynamicImage::ImageRgb8(image).write_to(&mut bytes, ImageFormat::Jpeg));
    bytes.into_inner()
}
