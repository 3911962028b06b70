//! Pictures by id. What is answered was encoded by this daemon: the bytes that somebody added never reach a browser.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::access::Role;
use crate::decode::{THUMBNAIL_EDGE_MAX, decode, preview};
use crate::engine::{Collection, EngineError};
use crate::types::ImageId;

use super::files::has;
use super::{Known, Shared};

/// Pictures that are made from their files at a time; each may take what decoding one image may.
pub(super) const PREVIEWS_MAX: usize = 2;
/// Longest side that is answered, in pixels.
const EDGE_MAX: u32 = 2048;
/// Shortest longest side that may be asked for, in pixels.
const EDGE_MIN: u32 = 16;
/// The id names the bytes, so what is answered for it never changes.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// The small picture in place of a large one: the file may be there another time.
const FOR_NOW: &str = "private, max-age=60";

/// Why there is no picture.
enum Refusal {
    /// There is no such picture.
    Unknown,
    /// The request makes no sense.
    Edge,
    /// The daemon failed.
    Failed,
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound { .. } => Self::Unknown,
            error => {
                tracing::error!(%error, "a picture can't be answered");
                Self::Failed
            }
        }
    }
}

/// A picture, its tag and how long it holds.
struct Picture {
    jpeg: Vec<u8>,
    etag: String,
    caching: &'static str,
}

/// Answers the thumbnail of an image, or where `edge` asks for more and a source of it can be read, a larger picture.
pub(super) async fn thumbnail(
    State(shared): State<Arc<Shared>>,
    Extension(known): Extension<Known>,
    Path((collection, image)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !known.is_ok_and(|caller| caller.may(Role::Read) && caller.reaches(&collection)) {
        return (StatusCode::FORBIDDEN, "this collection's pictures are not for this caller").into_response();
    }
    match find(shared, collection, &image, query.as_deref(), &headers).await {
        Ok(Some(Picture { jpeg, etag, caching })) => {
            let caching = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, caching)];
            (caching, [(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response()
        }
        Ok(None) => StatusCode::NOT_MODIFIED.into_response(),
        Err(Refusal::Unknown) => (StatusCode::NOT_FOUND, "there is no such picture").into_response(),
        Err(Refusal::Edge) => {
            let allowed = format!("edge is a number of pixels from {EDGE_MIN} to {EDGE_MAX}");
            (StatusCode::BAD_REQUEST, allowed).into_response()
        }
        Err(Refusal::Failed) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The picture; `None` where the browser has it.
async fn find(
    shared: Arc<Shared>,
    collection: String,
    image: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<Picture>, Refusal> {
    let image: ImageId = image.parse().map_err(|_| Refusal::Unknown)?;
    let edge = edge_of(query)?.max(THUMBNAIL_EDGE_MAX);
    let etag = format!("\"{image}-{edge}\"");
    let is_held = has(headers, &etag);
    let large = if edge > THUMBNAIL_EDGE_MAX && !is_held {
        // The semaphore is never closed; where it were, the small picture does.
        shared.previews.acquire().await.ok()
    } else {
        None
    };
    let (engine, limits, wants_large) = (Arc::clone(&shared.engine), shared.limits.clone(), large.is_some());
    let work = move || -> Result<Option<Picture>, Refusal> {
        let collection = engine.collection(&collection)?;
        let header = collection.image(&image, false)?.header;
        if is_held {
            return Ok(None);
        }
        if wants_large && let Some(bytes) = engine.original(&image, &header) {
            let made = decode(&bytes, &limits, edge).ok().and_then(|decoded| preview(&decoded, edge).ok());
            if let Some(jpeg) = made {
                return Ok(Some(Picture { jpeg, etag, caching: FOR_EVER }));
            }
        }
        small(&collection, image, edge).map(Some)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Refusal::Failed))
}

/// The picture as stored.
fn small(collection: &Collection, image: ImageId, asked: u32) -> Result<Picture, Refusal> {
    let (found, _) = collection.thumbnails(&[image], usize::MAX)?;
    let (_, jpeg) = found.into_iter().next().ok_or(Refusal::Unknown)?;
    let caching = if asked > THUMBNAIL_EDGE_MAX { FOR_NOW } else { FOR_EVER };
    Ok(Picture { jpeg, etag: format!("\"{image}-{THUMBNAIL_EDGE_MAX}\""), caching })
}

/// The `edge` of a query; where there is none, what is stored.
fn edge_of(query: Option<&str>) -> Result<u32, Refusal> {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("edge="));
    let Some(asked) = asked else {
        return Ok(THUMBNAIL_EDGE_MAX);
    };
    asked.parse().ok().filter(|edge| (EDGE_MIN..=EDGE_MAX).contains(edge)).ok_or(Refusal::Edge)
}
