//! The command line: what is open to whom, tokens, and coming in.

use std::process::Command;

use culld::config::{ConfigError, ServeArgs};
use serde_json::Value;

use crate::support::{TestDaemon, facts, groups, new_image, picture};
use culld::access::Role;
use culld::proto;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{Token, by, closed};

fn culld(arguments: &[&str], token: Option<&str>) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
    command.env("CULLD_MODEL", "fake").env_remove("CULLD_TOKENS").env_remove("CULLD_TOKEN").args(arguments);
    if let Some(token) = token {
        command.env("CULLD_TOKEN", token);
    }
    let found = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (found.status.code().unwrap(), text(&found.stdout), text(&found.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn an_open_address_is_refused() {
    let check = |change: fn(&mut ServeArgs), expected: Option<&str>| {
        let mut args = ServeArgs { listen: Some("0.0.0.0:0".parse().unwrap()), ..Default::default() };
        change(&mut args);
        let found = args.resolve().err().map(|error| match error {
            ConfigError::Unprotected { missing, .. } => missing.to_owned(),
            other => other.to_string(),
        });
        assert_eq!(found.as_deref(), expected);
    };
    check(|_| {}, Some("neither TLS nor tokens are set"));
    check(|args| args.listen_unprotected = Some(true), None);
    check(|args| args.tokens = Some("t".into()), Some("tokens would travel in the clear without TLS"));
    check(
        |args| (args.tls_cert, args.tls_key) = (Some("c".into()), Some("k".into())),
        Some("anybody may come in without tokens"),
    );
    check(
        |args| {
            (args.tls_cert, args.tls_key, args.tokens) =
                (Some("c".into()), Some("k".into()), Some("t".into()));
        },
        None,
    );
    check(
        |args| {
            (args.tls_cert, args.tls_key, args.tls_client_ca) =
                (Some("c".into()), Some("k".into()), Some("a".into()));
        },
        None,
    );
    check(|args| args.tls_cert = Some("c".into()), Some("tls_cert and tls_key go together"));
    check(|args| args.tls_client_ca = Some("a".into()), Some("tls_client_ca needs tls_cert and tls_key"));
    check(|args| args.listen = Some("127.0.0.1:0".parse().unwrap()), None);
}

#[test]
fn check_says_what_is_open_to_whom() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let file = path.to_str().unwrap();
    let (code, said, _) = culld(&["serve", "--check", "--json"], None);
    let found = json(&said);
    assert_eq!(
        (code, &found["closed"], &found["callers"][0]["caller"]),
        (0, &false.into(), &"whoever reaches the address".into())
    );
    let (_, said, _) = culld(&["token", "new", "camera 7", "--role", "add", "--at", "cars", "--json"], None);
    let made = json(&said);
    let token = made["token"].as_str().unwrap();
    assert!(
        token.starts_with("culld_") && token.len() == 70 && !made["entry"].as_str().unwrap().contains(token)
    );
    std::fs::write(&path, made["entry"].as_str().unwrap()).unwrap();
    let root = folder.path().to_str().unwrap();
    let arguments = [
        "serve",
        "--check",
        "--json",
        "--tokens",
        file,
        "--allowed-root",
        root,
        "--collection-images-max",
        "9",
    ];
    let (code, said, _) = culld(&arguments, None);
    let found = json(&said);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&found["closed"], &found["collection_images_max"]), (&true.into(), &9.into()));
    let caller = serde_json::json!({"caller": "token camera 7", "roles": ["add"], "collections": ["cars"]});
    assert_eq!(found["callers"], serde_json::json!([caller]));
    let (_, said, _) = culld(&["serve", "--check", "--tokens", file], None);
    assert!(said.contains("camera 7") && said.contains("this machine") && !said.contains(token), "{said}");
    std::fs::write(&path, "[[token]]\n").unwrap();
    let (code, _, said) = culld(&["serve", "--check", "--tokens", file], None);
    assert!(code == 1 && said.contains("missing field"), "{code} {said}");
    let (code, _, said) = culld(&["serve", "--check", "--listen", "0.0.0.0:1"], None);
    assert!(code == 2 && said.contains("--listen-unprotected"), "{code} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_come_in_by_token() {
    let token = Token::new("ana", &[Role::Read], &["default"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&token], folder.path()).await;
    let server = format!("http://{}", daemon.address());
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{}\n", token.secret)).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let secret = token.secret.clone();
    let work = move || {
        let stats = ["stats", "--json", "--server", &server];
        let (code, _, said) = culld(&stats, None);
        assert!(code == 1 && said.contains("CULLD_TOKEN"), "{code} {said}");
        assert_eq!(culld(&stats, Some("wrong")).0, 1);
        assert_eq!(culld(&stats, Some(&secret)).0, 0);
        assert_eq!(culld(&[&stats[..], &["--token-file", &file]].concat(), None).0, 0);
        let (code, _, said) = culld(&[&stats[..], &["--collection", "other"]].concat(), Some(&secret));
        assert!(code == 1 && said.contains("COLLECTION_NOT_ALLOWED"), "{code} {said}");
        let (code, _, said) = culld(&["recluster", "--server", &server], Some(&secret));
        assert!(code == 1 && said.contains("ROLE_NEEDED") && !said.contains(&secret), "{code} {said}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_collection_takes_no_more() {
    let daemon = TestDaemon::with(|config| config.quota.images_max = Some(5)).await;
    let outcomes = daemon.add_all(groups(0..2, 4)).await.unwrap();
    let count = |status| outcomes.values().filter(|one| one.status() == status).count();
    assert_eq!((count(proto::AddStatus::Added), count(proto::AddStatus::Failed)), (5, 3));
    let failed = outcomes.values().find(|one| one.status() == proto::AddStatus::Failed).unwrap();
    assert_eq!(failed.cause(), proto::AddCause::StorageFull);
    let refused = daemon.add("new", picture(9, 0)).await.unwrap_err();
    assert_eq!((facts(&refused).0, &*facts(&refused).1), (Code::ResourceExhausted, "LIMIT_REACHED"));
    assert!(
        refused.get_details_retry_info().is_some() && refused.message().contains("may hold 5"),
        "{refused:?}"
    );
    // What is there already needs no room, another collection has its own, and what is deleted leaves room.
    let kept = outcomes.iter().find(|(_, one)| one.status() == proto::AddStatus::Added).unwrap();
    let group: Vec<u64> = kept.0.split('/').map(|part| part.parse().unwrap()).collect();
    let again = daemon.add("again", picture(group[0], group[1])).await.unwrap();
    assert_eq!(again.status(), proto::AddStatus::AlreadyPresent);
    daemon.create("other").await.add("a", picture(9, 0)).await.unwrap();
    daemon.delete(crate::support::ids_filter(&[&kept.1.image_id])).await.unwrap();
    daemon.add("new", picture(9, 0)).await.unwrap();
    assert!(daemon.add("newer", picture(9, 1)).await.is_err());
    // Bytes, over a restart.
    let size = picture(9, 0).len() as u64;
    let daemon = daemon
        .restarted_with(|config| {
            config.quota.images_max = None;
            config.quota.bytes_max = Some(6 * size + size / 2);
        })
        .await;
    let mut added = 0;
    while daemon.add("more", picture(20 + added, 0)).await.is_ok() {
        added += 1;
        assert!(added < 20);
    }
    let request = by(
        None,
        proto::AddImageRequest { image: Some(new_image("b", picture(50, 0))), ..Default::default() },
    );
    let refused = daemon.images().add_image(request).await.unwrap_err();
    assert!(refused.message().contains("bytes of images"), "{refused:?}");
}
