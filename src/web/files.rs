//! The page itself: what `clients/web` is built to, by the names that it asks for. There is no folder to stray from.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::types::ImageId;

/// A file of the page.
#[derive(Clone, Copy)]
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! built {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/web/dist/", $name))
    };
}

const FILES: [PageFile; 5] = [
    PageFile { path: "/", media_type: "text/html; charset=utf-8", bytes: built!("index.html") },
    PageFile { path: "/app.js", media_type: "text/javascript; charset=utf-8", bytes: built!("app.js") },
    PageFile { path: "/app.css", media_type: "text/css; charset=utf-8", bytes: built!("app.css") },
    PageFile { path: "/favicon.svg", media_type: "image/svg+xml", bytes: built!("favicon.svg") },
    PageFile {
        path: "/licenses.txt",
        media_type: "text/plain; charset=utf-8",
        bytes: built!("licenses.txt"),
    },
];

/// A route for each file.
pub(super) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, file| {
        let digest = ImageId::of(file.bytes).to_string();
        let etag = format!("\"{}\"", digest.get(..16).unwrap_or_default());
        router.route(file.path, get(move |headers: HeaderMap| async move { answer(file, &etag, &headers) }))
    })
}

/// The file, unless the browser has it: it asks each time, so that a newer daemon's page is seen at once.
fn answer(file: PageFile, etag: &str, headers: &HeaderMap) -> Response {
    let caching = [(header::ETAG, etag), (header::CACHE_CONTROL, "no-cache")];
    if has(headers, etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, file.media_type)], file.bytes).into_response()
}

/// Whether the browser says that it holds the answer of this tag.
pub(super) fn has(headers: &HeaderMap, etag: &str) -> bool {
    let held = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    held.is_some_and(|held| held.split(',').any(|one| one.trim().trim_start_matches("W/") == etag))
}
