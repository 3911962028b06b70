//! Who is let in, to what: every call of the API and every route of the page, with and without the right token.

mod commands;
mod page;
mod tls;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use culld::access::{CALLS, Need, Role, Scope, TokenEntry, new_token, token_hash};
use culld::proto;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::support::raw::Raw;
use crate::support::{TestDaemon, facts, new_image, picture};

/// A token and its entry.
pub(crate) struct Token {
    pub(crate) secret: String,
    entry: TokenEntry,
}

impl Token {
    /// A token of this name, with these roles, for these collections.
    pub(crate) fn new(name: &str, roles: &[Role], collections: &[&str]) -> Self {
        let secret = new_token().unwrap();
        let hash = token_hash(&secret).to_hex().to_string();
        let collections = collections.iter().map(|name| (*name).to_owned()).collect();
        let entry = TokenEntry { name: name.to_owned(), hash, roles: roles.to_vec(), collections };
        Self { secret, entry }
    }

    /// The same token with other roles.
    fn with(&self, roles: &[Role]) -> Self {
        let entry = TokenEntry { roles: roles.to_vec(), ..self.entry.clone() };
        Self { secret: self.secret.clone(), entry }
    }

    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.secret)
    }
}

/// Writes the tokens file, all at once, as an editor or a deployment does.
pub(crate) fn write_tokens(path: &Path, tokens: &[&Token]) {
    let entries: Vec<String> = tokens.iter().map(|one| toml::to_string(&one.entry).unwrap()).collect();
    let text = format!("[[token]]\n{}", entries.join("\n[[token]]\n"));
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A daemon that asks who calls. It answers in the folder's "tokens.toml".
pub(crate) async fn closed(tokens: &[&Token], folder: &Path) -> TestDaemon {
    let path = folder.join("tokens.toml");
    write_tokens(&path, tokens);
    TestDaemon::with(|config| config.access.tokens = Some(path)).await
}

/// A request with who sends it.
pub(crate) fn by<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// Makes a call, whatever kind it is; the first answer of a stream is its answer. A stream that was let in and is
/// silent counts as answered.
async fn call(channel: &Channel, path: &str, token: Option<&str>, message: Vec<u8>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = path.parse().unwrap();
    let request = by(token, tokio_stream::iter([message]));
    let mut answers = grpc.streaming(request, path, Raw).await?.into_inner();
    answers.message().await.map(|_| ())
}

/// A method of the API.
struct Method {
    name: String,
    request: DescriptorProto,
}

impl Method {
    fn path(&self) -> String {
        format!("/culld.v1.{}", self.name)
    }

    /// A request that names a collection, and an operation.
    fn message(&self, collection: &str, operation: &str) -> Vec<u8> {
        if self.name == "ImageService/AddImages" {
            return crate::support::header(collection).encode_to_vec();
        }
        if self.name == "CollectionService/ImportCollection" {
            let header =
                proto::ImportCollectionHeader { collection: collection.to_owned(), ..Default::default() };
            let message = Some(proto::import_collection_request::Message::Header(header));
            return proto::ImportCollectionRequest { message }.encode_to_vec();
        }
        let values = [("collection", collection), ("name", operation)];
        let mut message = Vec::new();
        for (name, value) in values {
            let Some(field) = self.request.field.iter().find(|field| field.name() == name) else { continue };
            message.push((field.number() as u8) << 3 | 2);
            message.push(value.len() as u8);
            message.extend_from_slice(value.as_bytes());
        }
        message
    }
}

fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let files: Vec<_> = set.file.into_iter().filter(|file| file.package() == "culld.v1").collect();
    let message = |name: &str| {
        let found = files.iter().flat_map(|file| &file.message_type);
        found.into_iter().find(|one| name == format!(".culld.v1.{}", one.name())).unwrap().clone()
    };
    let services = files.iter().flat_map(|file| &file.service);
    let methods = services.flat_map(|service| {
        service.method.iter().map(|method| Method {
            name: format!("{}/{}", service.name(), method.name()),
            request: message(method.input_type()),
        })
    });
    methods.collect()
}

fn need(method: &Method) -> Need {
    CALLS.iter().find(|(name, _)| *name == method.name).unwrap().1
}

#[test]
fn every_call_says_what_it_needs() {
    let named: BTreeSet<String> = CALLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = methods().into_iter().map(|method| method.name).collect();
    assert_eq!((named.len(), &named), (CALLS.len(), &there));
    for method in methods() {
        let has_collection = method.request.field.iter().any(|field| field.name() == "collection")
            || ["ImageService/AddImages", "CollectionService/ImportCollection"].contains(&&*method.name);
        let scope = need(&method).scope;
        let expected =
            if has_collection { [Scope::Collection, Scope::Own] } else { [Scope::Own, Scope::Own] };
        let about_none = [Scope::Everything, Scope::Nothing].contains(&scope) && !has_collection;
        assert!(expected.contains(&scope) || about_none, "{}: {scope:?}", method.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_closed_to_those_who_may_not() {
    let all = Token::new("all", &[Role::Admin], &["*"]);
    let elsewhere = Token::new("elsewhere", &[Role::Admin, Role::Add], &["other"]);
    let single = Role::ALL.map(|role| (role, Token::new(role.name(), &[role], &["*"])));
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = vec![&all, &elsewhere];
    tokens.extend(single.iter().map(|(_, token)| token));
    let daemon = closed(&tokens, folder.path()).await;
    let channel = &daemon.channel;
    let image = Some(new_image("a", picture(1, 0)));
    let add = proto::AddImageRequest { image, ..Default::default() };
    daemon.images().add_image(by(Some(&all.secret), add)).await.unwrap();
    let recluster = by(Some(&all.secret), proto::ReclusterRequest::default());
    let operation =
        daemon.clusterings().recluster(recluster).await.unwrap().into_inner().operation.unwrap().name;
    for method in methods() {
        let (path, message) = (method.path(), method.message("default", &operation));
        let refused = async |token: Option<&str>, expected: (Code, &str)| {
            let error = call(channel, &path, token, message.clone()).await.expect_err(&path);
            assert_eq!((facts(&error).0, &*facts(&error).1), expected, "{path}: {error:?}");
        };
        refused(None, (Code::Unauthenticated, "CREDENTIALS_MISSING")).await;
        let unknown = new_token().unwrap();
        refused(Some(&unknown), (Code::Unauthenticated, "CREDENTIALS_UNKNOWN")).await;
        refused(Some(""), (Code::Unauthenticated, "CREDENTIALS_UNKNOWN")).await;
        let need = need(&method);
        for (role, token) in &single {
            if need.role.is_some_and(|needed| !role.includes(needed)) {
                refused(Some(&token.secret), (Code::PermissionDenied, "ROLE_NEEDED")).await;
            }
        }
        let lists = method.name.ends_with("ListCollections");
        if need.scope != Scope::Nothing && !lists {
            refused(Some(&elsewhere.secret), (Code::PermissionDenied, "COLLECTION_NOT_ALLOWED")).await;
        }
        // What would be answered for as long as its caller likes is silent at first, or not there any more.
        if method.name.ends_with("DeleteCollection") || method.name.ends_with("Verify") {
            continue;
        }
        let let_in = call(channel, &path, Some(&all.secret), message.clone()).await;
        let code = let_in.err().map(|error| error.code());
        assert!(!matches!(code, Some(Code::Unauthenticated | Code::PermissionDenied)), "{path}: {code:?}");
    }
    // What is no call is refused as well: nothing tells a stranger what is there.
    for path in ["/culld.v1.ImageService/Nothing", "/culld.v2.ImageService/AddImage", "/a/b"] {
        let error = call(channel, path, None, Vec::new()).await.expect_err(path);
        assert_eq!(error.code(), Code::Unauthenticated);
        let error = call(channel, path, Some(&single[0].1.secret), Vec::new()).await.expect_err(path);
        assert_eq!(error.code(), Code::PermissionDenied);
    }
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    assert_eq!(call(channel, reflection, None, Vec::new()).await.unwrap_err().code(), Code::Unauthenticated);
    call(channel, "/grpc.health.v1.Health/Check", None, Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_show_what_is_in_scope() {
    let (all, one) =
        (Token::new("all", &[Role::Admin], &["*"]), Token::new("one", &[Role::Judge], &["cars"]));
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&all, &one], folder.path()).await;
    let create = proto::CreateCollectionRequest { collection: "cars".to_owned(), ..Default::default() };
    daemon.collections().create_collection(by(Some(&all.secret), create)).await.unwrap();
    daemon.admin().verify(by(Some(&all.secret), proto::VerifyRequest {})).await.unwrap();
    for (token, names, operations) in [(&all, vec!["cars", "default"], 1), (&one, vec!["cars"], 0)] {
        let request = by(Some(&token.secret), proto::ListCollectionsRequest::default());
        let listed = daemon.collections().list_collections(request).await.unwrap().into_inner().collections;
        assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), names);
        let request = by(Some(&token.secret), proto::ListOperationsRequest::default());
        let listed = daemon.admin().list_operations(request).await.unwrap().into_inner().operations;
        assert_eq!(listed.len(), operations);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actor_is_whose_token_it_is() {
    let token = Token::new("ana", &[Role::Judge, Role::Add], &["default"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&token], folder.path()).await;
    let image = Some(new_image("a", picture(1, 0)));
    let add = proto::AddImageRequest { image, ..Default::default() };
    let outcome = daemon.images().add_image(by(Some(&token.secret), add)).await.unwrap().into_inner().outcome;
    let image_ids = vec![outcome.unwrap().image_id];
    let target = proto::set_verdict_request::Target::Images(proto::ImagesTarget { image_ids });
    let request = proto::SetVerdictRequest {
        side: proto::Side::Keep.into(),
        target: Some(target),
        actor: "somebody else".to_owned(),
        ..Default::default()
    };
    let event = daemon.decisions().set_verdict(by(Some(&token.secret), request)).await.unwrap().into_inner();
    let request = proto::UndoEventRequest {
        event_sequence: event.event_sequence,
        actor: "a third".to_owned(),
        ..Default::default()
    };
    daemon.decisions().undo_event(by(Some(&token.secret), request)).await.unwrap();
    let request = by(Some(&token.secret), proto::ListEventsRequest::default());
    let events = daemon.decisions().list_events(request).await.unwrap().into_inner().events;
    let actors: Vec<_> = events.into_iter().map(|one| one.event.unwrap().actor).collect();
    assert_eq!(actors, ["ana", "ana"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_read_again_and_ends_what_it_let_in() {
    let (kept, gone) = (Token::new("kept", &[Role::Read], &["*"]), Token::new("gone", &[Role::Read], &["*"]));
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&kept, &gone], folder.path()).await;
    let path = folder.path().join("tokens.toml");
    let stats = async |token: &Token| {
        let answer =
            daemon.admin().get_stats(by(Some(&token.secret), proto::GetStatsRequest::default())).await;
        answer.map_or_else(|error| error.code(), |_| Code::Ok)
    };
    assert_eq!((stats(&kept).await, stats(&gone).await), (Code::Ok, Code::Ok));
    write_tokens(&path, &[&kept]);
    assert_eq!((stats(&kept).await, stats(&gone).await), (Code::Ok, Code::Unauthenticated));
    // What can't be used changes nothing.
    std::fs::write(&path, "[[token]]\nname = 1\n").unwrap();
    assert_eq!((stats(&kept).await, stats(&gone).await), (Code::Ok, Code::Unauthenticated));
    std::fs::remove_file(&path).unwrap();
    assert_eq!((stats(&kept).await, stats(&gone).await), (Code::Ok, Code::Unauthenticated));
    write_tokens(&path, &[&gone]);
    assert_eq!((stats(&kept).await, stats(&gone).await), (Code::Unauthenticated, Code::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_with_its_token() {
    let new = |name| Token::new(name, &[Role::Read], &["*"]);
    let (kept, gone, leaked) = (new("kept"), new("gone"), new("leaked"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    write_tokens(&path, &[&kept, &gone, &leaked]);
    let tokens = path.clone();
    let daemon = TestDaemon::with(|config| {
        config.access.tokens = Some(tokens);
        // Watchers hear something each quarter of it.
        config.request_time_max = Duration::from_secs(4);
    })
    .await;
    let watch = async |token: &Token| {
        let request = by(Some(&token.secret), proto::WatchDecisionsRequest::default());
        daemon.decisions().watch_decisions(request).await.unwrap().into_inner()
    };
    let (mut stays, streams) = (watch(&kept).await, [watch(&gone).await, watch(&leaked).await]);
    stays.message().await.unwrap();
    // An entry with other rights is another one, and so is another token of the same name.
    write_tokens(&path, &[&kept, &gone.with(&[Role::Add]), &new("leaked")]);
    for mut ends in streams {
        let end = loop {
            if let Err(error) = ends.message().await {
                break error;
            }
        };
        assert_eq!(facts(&end), (Code::Unauthenticated, "CREDENTIALS_UNKNOWN".to_owned(), String::new()));
    }
    stays.message().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_leaves_the_others_their_turn() {
    let (one, other) = (Token::new("one", &[Role::Read], &["*"]), Token::new("other", &[Role::Read], &["*"]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    write_tokens(&path, &[&one, &other]);
    let daemon = TestDaemon::with(|config| {
        config.access.tokens = Some(path);
        config.access.caller_calls_max = 4;
        config.access.caller_streams_max = 3;
    })
    .await;
    let watch = async |token: &Token| {
        let request = by(Some(&token.secret), proto::WatchDecisionsRequest::default());
        daemon.decisions().watch_decisions(request).await
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(watch(&one).await.unwrap());
    }
    let refused = watch(&one).await.unwrap_err();
    assert_eq!(facts(&refused).0, Code::ResourceExhausted);
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && refused.message().contains("3 streams"), "{refused:?}");
    // Its other calls, and another's streams, are none of that.
    let request = by(Some(&one.secret), proto::GetStatsRequest::default());
    daemon.admin().get_stats(request).await.unwrap();
    held.push(watch(&other).await.unwrap());
    // A stream that is left gives its turn back; when, is the connection's affair.
    held.remove(0);
    let again = tokio::time::timeout(Duration::from_mins(1), async {
        while watch(&one).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    again.await.unwrap();
}

#[test]
fn a_tokens_file_that_can_t_be_meant_is_refused_without_its_secrets() {
    let hash = token_hash("x").to_hex().to_string();
    let entry =
        |name: &str, hash: &str, rest: &str| format!("[[token]]\nname = {name:?}\nhash = {hash:?}\n{rest}\n");
    let good = "roles = [\"read\"]\ncollections = [\"*\"]";
    let secret = new_token().unwrap();
    let check = |text: &str, says: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        std::fs::write(&path, text).unwrap();
        let mut config = culld::config::Config::temporary(folder.path()).access;
        config.tokens = Some(path);
        let error = culld::access::Access::open(&config).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains(says), "{error} does not say {says}");
        assert!(!error.contains(&secret), "{error}");
    };
    check(&entry("a", &hash, good), "");
    check(&entry("a", &secret, good), "64 hexadecimal digits");
    check(&entry("", &hash, good), "no name");
    check(&entry("a", &hash, "roles = []\ncollections = [\"*\"]"), "no role");
    check(&entry("a", &hash, "roles = [\"read\"]\ncollections = []"), "no collections");
    check(&entry("a", &hash, "roles = [\"king\"]\ncollections = [\"*\"]"), "line 4");
    check(&entry("a", &hash, &format!("{good}\ntoken = {secret:?}")), "unknown field `token`");
    check(&format!("{}{}", entry("a", &hash, good), entry("a", &hash, good)), "twice");
    check(&secret, "line 1");
}
