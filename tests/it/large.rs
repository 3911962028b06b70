//! What is too large: images by their outcomes, answers by their pages.

use culld::proto;
use culld::proto::{AddCause, AddStatus};
use image::{Rgb, RgbImage};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::Code;

use crate::support::{TestDaemon, check_error, header, id_of, image_message, picture, png};

const MIB: usize = 1 << 20;

/// Three good images, one of so many bytes, three good ones.
fn messages(bytes: usize) -> Vec<proto::AddImagesRequest> {
    let mut messages = vec![header("")];
    messages.extend((0..6).map(|item| image_message(&item.to_string(), picture(1, item))));
    messages.insert(4, image_message("large", vec![7; bytes]));
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_too_large_is_an_outcome() {
    let daemon = TestDaemon::with(|config| config.image_bytes_max = MIB as u64).await;
    for bytes in [MIB + 1, 2 * MIB + 1] {
        let stream = daemon.images().add_images(tokio_stream::iter(messages(bytes))).await;
        let mut stream = stream.unwrap().into_inner();
        let mut good = 0;
        while let Some(response) = stream.message().await.unwrap() {
            let outcome = response.outcome.unwrap();
            if outcome.key == "large" {
                let found = (outcome.status(), outcome.cause());
                assert_eq!(found, (AddStatus::Rejected, AddCause::TooLarge), "{bytes} bytes: {outcome:?}");
            } else {
                good += 1;
            }
        }
        assert_eq!(good, 6, "{bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_none_ends_the_stream_with_details() {
    let daemon = TestDaemon::with(|config| config.image_bytes_max = MIB as u64).await;
    let stream = daemon.images().add_images(tokio_stream::iter(messages(6 * MIB))).await;
    let mut stream = stream.unwrap().into_inner();
    for _ in 0..3 {
        let outcome = stream.message().await.unwrap().unwrap().outcome.unwrap();
        assert_eq!(outcome.status(), AddStatus::Added, "{outcome:?}");
    }
    check_error(stream.message().await, Code::InvalidArgument, "INVALID_FIELD", "message");
    assert_eq!(daemon.stats().await.images, 3);
}

/// A picture that no JPEG makes small.
fn noise(seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    png(&RgbImage::from_fn(320, 320, |_, _| Rgb(rng.random())))
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbnails_come_in_answers_of_two_mib() {
    let daemon = TestDaemon::start().await;
    let pictures: Vec<_> = (0..40).map(|seed| (format!("{seed:02}"), noise(seed))).collect();
    let ids: Vec<String> = pictures.iter().map(|(_, bytes)| id_of(bytes)).collect();
    daemon.add_new(pictures).await;
    let mut asked = ids.clone();
    asked.insert(3, id_of(b"unknown"));
    let (mut found, mut answers) = (Vec::new(), 0);
    while !asked.is_empty() {
        let request = proto::BatchGetThumbnailsRequest { image_ids: asked, ..Default::default() };
        let answer = daemon.images().batch_get_thumbnails(request).await.unwrap().into_inner();
        assert!(!answer.thumbnails.is_empty() && answer.encoded_len() < 2 * MIB + 64 * 1024);
        found.extend(answer.thumbnails.into_iter().map(|one| one.image_id));
        asked = answer.remaining_image_ids;
        answers += 1;
    }
    assert_eq!(found, ids, "in the order asked, each once");
    assert!(answers > 1, "they fit into one answer");
}
