//! What browsers get at the daemon's address: the page, its calls as gRPC-Web, and pictures.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use culld::proto;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use prost::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{TestDaemon, encoded, groups, id_of, new_image, picture, png};

/// An answer as it came.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    #[track_caller]
    fn edge(&self) -> u32 {
        assert_eq!((self.status, self.header("content-type")), (200, Some("image/jpeg")), "{}", self.head);
        assert_eq!(self.body.get(..2), Some(&[0xff, 0xd8][..]), "what is answered was encoded here");
        let shown = image::load_from_memory(&self.body).unwrap();
        shown.width().max(shown.height())
    }
}

/// One request of HTTP/1.1, by hand: a browser's own headers can't be had from a client that minds them itself.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host = address.to_string();
    let host = if headers.iter().any(|(name, _)| *name == "host") { vec![] } else { vec![("host", &*host)] };
    let length = body.len().to_string();
    let all = [&host[..], headers, &[("connection", "close"), ("content-length", &length)]].concat();
    let lines: Vec<String> = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\n{}\r\n", lines.concat());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(&answer[at + 4..]) } else { answer[at + 4..].to_vec() };
    Reply { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(address, "GET", path, headers, &[]).await
}

/// A call as the page makes it.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    headers: &[(&str, &str)],
    message: &impl Message,
) -> Reply {
    let mut body = vec![0];
    body.extend((message.encoded_len() as u32).to_be_bytes());
    body.extend(message.encode_to_vec());
    let headers = [&[("content-type", "application/grpc-web+proto")], headers].concat();
    ask(address, "POST", &format!("/culld.v1.{method}"), &headers, &body).await
}

/// The frames of an answer: messages, and the trailers as text.
fn frames(mut rest: &[u8]) -> (Vec<&[u8]>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let Some((head, after)) = rest.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        if head[0] & 0x80 == 0 {
            messages.push(&after[..length]);
        } else {
            trailers = String::from_utf8(after[..length].to_vec()).unwrap();
        }
        rest = &after[length..];
    }
    (messages, trailers)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_strictly() {
    let daemon = TestDaemon::start().await;
    let address = daemon.address();
    for path in ["/", "/app.js", "/app.css", "/favicon.svg", "/licenses.txt"] {
        let reply = get(address, path, &[]).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.head);
        assert!(!reply.body.is_empty());
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let etag = reply.header("etag").unwrap();
        let again = get(address, path, &[("if-none-match", etag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(ask(address, "HEAD", path, &[], &[]).await.body, b"");
    }
    let strays = ["/index.html", "/app.js/", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "//", "/v1/collections"];
    for path in strays {
        let reply = get(address, path, &[]).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.header("content-security-policy").is_some());
    }
    assert_eq!(ask(address, "DELETE", "/", &[], &[]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_are_refused() {
    let daemon = TestDaemon::start().await;
    let address = daemon.address();
    let own = format!("http://{address}");
    let create =
        |name: &str| proto::CreateCollectionRequest { collection: name.into(), ..Default::default() };
    let method = "CollectionService/CreateCollection";
    let strangers = ["http://other.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"];
    for origin in strangers {
        let reply = call(address, method, &[("origin", origin)], &create("stranger")).await;
        assert_eq!(reply.status, 403, "{origin}");
        assert_eq!(get(address, "/", &[("origin", origin)]).await.status, 403, "{origin}");
    }
    // A name that a stranger pointed at this machine is his, and so is what comes by it.
    let by_name = [("host", "other.example:80"), ("origin", "http://other.example:80")];
    assert_eq!(call(address, method, &by_name, &create("rebound")).await.status, 403);
    assert_eq!(get(address, "/", &by_name[..1]).await.status, 403);
    for headers in [&[("origin", own.as_str())][..], &[]] {
        let name = if headers.is_empty() { "program" } else { "page" };
        let reply = call(address, method, headers, &create(name)).await;
        assert_eq!(reply.status, 200, "{}", reply.head);
        assert!(reply.header("access-control-allow-origin").is_none());
    }
    let listed = daemon.collections().list_collections(proto::ListCollectionsRequest::default()).await;
    let names: BTreeSet<_> =
        listed.unwrap().into_inner().collections.into_iter().map(|one| one.name).collect();
    assert_eq!(names, BTreeSet::from(["default", "page", "program"].map(String::from)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_calls_as_programs_do() {
    let daemon = TestDaemon::start().await;
    let address = daemon.address();
    let image = Some(new_image("by the page", picture(1, 0)));
    let request = proto::AddImageRequest { image, ..Default::default() };
    let reply = call(address, "ImageService/AddImage", &[], &request).await;
    let (messages, trailers) = frames(&reply.body);
    let outcome = proto::AddImageResponse::decode(messages[0]).unwrap().outcome.unwrap();
    assert_eq!(outcome.status(), proto::AddStatus::Added, "{trailers}");
    daemon.add_new(groups(2..5, 10)).await;
    // A stream, all of it.
    let request = proto::FetchDecisionsRequest::default();
    let reply = call(address, "DecisionService/FetchDecisions", &[], &request).await;
    let (messages, trailers) = frames(&reply.body);
    let read = messages.iter().map(|one| proto::FetchDecisionsResponse::decode(*one).unwrap());
    assert_eq!(read.map(|one| one.decisions.len()).sum::<usize>(), 31);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    // An error, with its code and its words.
    let request = proto::GetCollectionRequest { collection: "nobody".into() };
    let reply = call(address, "CollectionService/GetCollection", &[], &request).await;
    let said = format!("{}\n{}", reply.head, frames(&reply.body).1);
    assert!(said.contains("grpc-status:5") || said.contains("grpc-status: 5"), "{said}");
    // HTTP/1.1 is for browsers; programs keep to HTTP/2.
    let native = [("content-type", "application/grpc")];
    assert_eq!(ask(address, "POST", "/culld.v1.AdminService/GetStats", &native, &[0; 5]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbnails_are_kept_for_ever() {
    let daemon = TestDaemon::start().await;
    let address = daemon.address();
    let bytes = picture(1, 0);
    let id = id_of(&bytes);
    daemon.add("a", bytes).await.unwrap();
    let request = proto::BatchGetThumbnailsRequest { image_ids: vec![id.clone()], ..Default::default() };
    let stored = daemon.images().batch_get_thumbnails(request).await.unwrap().into_inner();
    let path = format!("/v1/collections/default/images/{id}/thumbnail");
    for query in ["", "?edge=320", "?edge=64", "?edge=2048"] {
        let reply = get(address, &format!("{path}{query}"), &[]).await;
        assert_eq!(reply.edge(), 24, "{query}");
        assert_eq!(reply.body, stored.thumbnails[0].jpeg);
        let caching = reply.header("cache-control").unwrap();
        // There is no file to make a larger one from, now.
        assert_eq!(caching.contains("immutable"), query != "?edge=2048", "{query}: {caching}");
    }
    let etag = get(address, &path, &[]).await.header("etag").unwrap().to_owned();
    assert_eq!(get(address, &path, &[("if-none-match", &etag)]).await.status, 304);
    for query in ["?edge=0", "?edge=2049", "?edge=", "?edge=-1", "?edge=1e3"] {
        assert_eq!(get(address, &format!("{path}{query}"), &[]).await.status, 400, "{query}");
    }
    let unknown = id_of(b"unknown");
    let strays = [
        format!("/v1/collections/default/images/{unknown}/thumbnail"),
        format!("/v1/collections/nobody/images/{id}/thumbnail"),
        "/v1/collections/default/images/..%2f..%2fsecret/thumbnail".to_owned(),
        format!("/v1/collections/default/images/{id}"),
    ];
    for path in strays {
        assert_eq!(get(address, &path, &[]).await.status, 404, "{path}");
    }
}

fn large(seed: u8) -> Vec<u8> {
    png(&RgbImage::from_fn(1000, 700, |x, y| Rgb([x as u8, y as u8, seed])))
}

async fn preview(daemon: &TestDaemon, id: &str, edge: u32) -> Reply {
    let path = format!("/v1/collections/default/images/{id}/thumbnail?edge={edge}");
    get(daemon.address(), &path, &[]).await
}

/// Writes a file, and imports or adds it by its URI; answers its id.
async fn stored(daemon: &TestDaemon, path: &Path, bytes: Vec<u8>) -> String {
    std::fs::write(path, &bytes).unwrap();
    let mut image = new_image(path.to_str().unwrap(), bytes);
    image.uri = format!("file://{}", path.display());
    let request = proto::AddImageRequest { image: Some(image), ..Default::default() };
    let outcome = daemon.images().add_image(request).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(outcome.status(), proto::AddStatus::Added);
    outcome.image_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closer_look_is_made_from_a_file_that_may_be_read() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = std::fs::canonicalize(inside.path()).unwrap();
    let daemon = TestDaemon::with(|config| config.allowed_roots = vec![root.clone()]).await;
    let allowed = stored(&daemon, &root.join("a.png"), large(1)).await;
    for (edge, expected) in [(2048, 1000), (640, 640), (321, 321), (320, 320)] {
        let reply = preview(&daemon, &allowed, edge).await;
        assert_eq!(reply.edge(), expected);
        assert!(reply.header("cache-control").unwrap().contains("immutable"));
    }
    let etag = preview(&daemon, &allowed, 640).await.header("etag").unwrap().to_owned();
    let path = format!("/v1/collections/default/images/{allowed}/thumbnail?edge=640");
    assert_eq!(get(daemon.address(), &path, &[("if-none-match", &etag)]).await.status, 304);
    // Another place, another picture there by now, a link out of the root, and no file at all.
    let elsewhere = stored(&daemon, &outside.path().join("b.png"), large(2)).await;
    let changed = stored(&daemon, &root.join("c.png"), large(3)).await;
    std::fs::write(root.join("c.png"), large(4)).unwrap();
    let linked = stored(&daemon, &root.join("d.png"), large(5)).await;
    std::fs::rename(root.join("d.png"), outside.path().join("d.png")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("d.png"), root.join("d.png")).unwrap();
    let gone = stored(&daemon, &root.join("e.png"), large(6)).await;
    std::fs::remove_file(root.join("e.png")).unwrap();
    for id in [elsewhere, changed, linked, gone] {
        let reply = preview(&daemon, &id, 2048).await;
        assert_eq!(reply.edge(), 320);
        assert!(!reply.header("cache-control").unwrap().contains("immutable"));
    }
    // What the picture carried beside its pixels stays behind.
    let mut tagged = encoded(&DynamicImage::ImageRgb8(RgbImage::new(400, 300)), ImageFormat::Jpeg);
    tagged.splice(2..2, b"\xff\xfe\x00\x0bsecretXXX".iter().copied());
    let id = stored(&daemon, &root.join("f.jpg"), tagged).await;
    let reply = preview(&daemon, &id, 2048).await;
    assert_eq!(reply.edge(), 400);
    assert!(!reply.body.windows(6).any(|window| window == b"secret"));
}

/// The binary has what is built, and nothing is built that it has not.
#[test]
fn the_built_page_is_all_in_the_binary() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/web/dist");
    let names: BTreeSet<String> = std::fs::read_dir(built)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["app.css", "app.js", "favicon.svg", "index.html", "licenses.txt"];
    assert_eq!(names, BTreeSet::from(expected.map(String::from)));
}
