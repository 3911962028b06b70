//! The page by the same tokens: a form, a cookie, and nothing without.

use culld::access::Role;
use culld::proto;

use super::{Token, by, closed, write_tokens};
use crate::support::{id_of, new_image, picture};
use crate::web::{ask, call, get};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_closed_without_a_session() {
    let all = Token::new("all", &[Role::Admin], &["*"]);
    let other = Token::new("other", &[Role::Judge], &["other"]);
    let adds = Token::new("adds", &[Role::Add], &["*"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&all, &other, &adds], folder.path()).await;
    let address = daemon.address();
    let bytes = picture(1, 0);
    let id = id_of(&bytes);
    let add = proto::AddImageRequest { image: Some(new_image("a", bytes)), ..Default::default() };
    daemon.images().add_image(by(Some(&all.secret), add)).await.unwrap();
    let picture = format!("/v1/collections/default/images/{id}/thumbnail");
    let routes = ["/", "/app.js", "/app.css", "/favicon.svg", "/licenses.txt", &picture, "/nothing"];
    for path in routes {
        for headers in
            [&[][..], &[("cookie", "culld_session=guessed")], &[("authorization", "Bearer guessed")]]
        {
            let reply = get(address, path, headers).await;
            assert_eq!(reply.status, 401, "{path}: {}", reply.head);
            assert!(reply.header("content-security-policy").unwrap().starts_with("default-src '"));
        }
    }
    // The form is all that a stranger gets.
    let form = get(address, "/", &[]).await;
    assert!(String::from_utf8_lossy(&form.body).contains("action=\"/login\""));
    assert!(form.header("content-security-policy").unwrap().contains("form-action 'self'"));
    for (token, expected) in [(&all, 200), (&other, 403), (&adds, 403)] {
        let header = token.header();
        assert_eq!(get(address, &picture, &[("authorization", &header)]).await.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_typed_once_becomes_a_session() {
    let (judge, adds) =
        (Token::new("judge", &[Role::Judge], &["*"]), Token::new("adds", &[Role::Add], &["*"]));
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&judge, &adds], folder.path()).await;
    let address = daemon.address();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = ask(address, "POST", "/login", &form, b"token=guessed").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let own = format!("http://{address}");
    let foreign = [form[0], ("origin", "http://other.example")];
    let body = format!("token={}", judge.secret);
    assert_eq!(ask(address, "POST", "/login", &foreign, body.as_bytes()).await.status, 403);
    let long = vec![b'a'; 10_000];
    assert_eq!(ask(address, "POST", "/login", &form, &long).await.status, 413);
    let reply = ask(address, "POST", "/login", &[form[0], ("origin", &own)], body.as_bytes()).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
    let set = reply.header("set-cookie").unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains(&judge.secret), "{set}");
    // Plain HTTP has no secure cookies; TLS has no other.
    assert!(!set.contains("Secure"));
    let cookie = set.split(';').next().unwrap();
    let session = [("cookie", cookie)];
    assert_eq!(get(address, "/", &session).await.status, 200);
    let stats = proto::GetStatsRequest::default();
    let said = async |headers: &[(&str, &str)]| {
        let reply = call(address, "AdminService/GetStats", headers, &stats).await;
        let text = format!("{}\n{}", reply.head, String::from_utf8_lossy(&reply.body)).replace(": ", ":");
        text.split("grpc-status:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!((said(&session).await, said(&[]).await), ("0".to_owned(), "16".to_owned()));
    // Who may only add has nothing to look at here.
    let body = format!("token={}", adds.secret);
    let reply = ask(address, "POST", "/login", &form, body.as_bytes()).await;
    let adding = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(get(address, "/", &[("cookie", &adding)]).await.status, 401);
    // It ends with its token, or by hand.
    write_tokens(&folder.path().join("tokens.toml"), &[&adds]);
    assert_eq!(
        (get(address, "/app.js", &session).await.status, said(&session).await),
        (401, "16".to_owned())
    );
    assert_eq!(get(address, "/app.js", &[("cookie", &adding)]).await.status, 200);
    let out = ask(address, "POST", "/logout", &[("cookie", &adding)], b"").await;
    assert!(out.status == 303 && out.header("set-cookie").unwrap().contains("Max-Age=0"), "{}", out.head);
    assert_eq!(get(address, "/app.js", &[("cookie", &adding)]).await.status, 401);
}
