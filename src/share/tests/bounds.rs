//! How often, how much and by whom it may be asked.

use futures_util::StreamExt as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn behind_proxies_that_are_trusted_an_address_is_the_one_that_the_first_of_them_was_called_from() {
    let wrong =
        async |router: &Router, via: &str| from(router, "/api/v1/package", "three", "10.0.0.1", via).await.0;
    let behind = |trusted_proxies| {
        let settings = ShareSettings { failed_token_rate: 1, trusted_proxies, ..ShareSettings::default() };
        share_with(&Arc::new(Desk::default()), &settings)
    };
    let none = behind(0);
    for (via, expected) in [("198.51.100.7", 401), ("198.51.100.8", 429)] {
        assert_eq!(wrong(&none, via).await, expected, "whatever it says, it is one caller");
    }
    let two = behind(2);
    for (via, expected) in [
        ("192.0.2.9, 198.51.100.7, 10.0.0.2", 401),
        ("192.0.2.8, 198.51.100.7, 10.0.0.2", 429),
        ("192.0.2.9, 198.51.100.8:4711, 10.0.0.2", 401),
        ("198.51.100.8, 10.0.0.3", 429),
        // It came past the first proxy.
        ("198.51.100.9", 401),
        ("198.51.100.9", 429),
        ("[2001:db8::1]:80, 10.0.0.2", 401),
        ("2001:db8::2, 10.0.0.2", 429),
        // What is no address is nobody's: the connection counts.
        ("198.51.100.7, somebody, 10.0.0.2", 401),
        ("", 429),
    ] {
        assert_eq!(wrong(&two, via).await, expected, "{via}");
    }
}

#[tokio::test]
async fn slack_gets_little_room() {
    let desk = Arc::new(Desk::default());
    let router = router(Share { largest_body: 1 << 20, ..shared(&desk) });
    let (status, why) = call(&router, "POST", "/slack/actions", "", &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!((status, why.as_str()), (400, r#"{"detail":"the body is too long, or does not come"}"#));
    assert_eq!(*desk.0.lock().unwrap(), Vec::<String>::new(), "nobody has read it");
    assert_eq!(call(&router, "POST", "/slack/actions", "", &"x".repeat(64 * 1024)).await.0, 404);
    assert_eq!(*desk.0.lock().unwrap(), ["hears  "]);
}

#[tokio::test(start_paused = true)]
async fn slack_gets_little_time() {
    let desk = Arc::new(Desk::default());
    let router = share(&desk);
    let begun = futures_util::stream::once(async { Ok::<_, io::Error>("payload=") });
    let never = Body::from_stream(begun.chain(futures_util::stream::pending()));
    let request = Request::post("/slack/actions").body(never).unwrap();
    let asked_at = tokio::time::Instant::now();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!((answer.status(), asked_at.elapsed().as_secs()), (StatusCode::BAD_REQUEST, 10));
    assert!(desk.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_run_is_shared_by_those_who_may_package_and_push() {
    let desk = Arc::new(Desk::default());
    let sum = |token: &str| hex::encode(Sha256::digest(token.as_bytes()));
    let entries = [("a", "package"), ("b", "push"), ("c", "package+push"), ("d", "read+approve")];
    let entries =
        entries.map(|(name, scopes)| TokenEntry::read(&format!("{name}:{scopes}:{}", sum(name))).unwrap());
    let router = router(Share { callers: Callers::Tokens(entries.into()), ..shared(&desk) });
    for (token, lacks) in [("a", "push"), ("b", "package"), ("d", "package")] {
        let (status, why) = call(&router, "POST", "/api/v1/auto", token, r#"{"instrumentRunId":"R1"}"#).await;
        assert_eq!(
            (status, why),
            (403, format!(r#"{{"detail":"the token of {token} has no scope `{lacks}`"}}"#))
        );
    }
    assert!(desk.0.lock().unwrap().is_empty());
    call(&router, "POST", "/api/v1/auto", "c", r#"{"instrumentRunId":"R1"}"#).await;
    assert_eq!(*desk.0.lock().unwrap(), ["runs R1 None"]);
}

#[tokio::test]
async fn links_to_papers_of_a_push_are_listed_and_ended() {
    let desk = Arc::new(Desk::default());
    let router = share(&desk);
    let at = "/api/v1/push/01KB0000000000000000000000/links";
    assert_eq!(
        call(&router, "POST", at, "two", r#"{"label":"x"}"#).await.0,
        405,
        "it has no files of its own"
    );
    let (status, listed) = call(&router, "GET", at, "one", "").await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, &listed["pagination"]["count"]), (200, &json!(3)));
    assert_eq!(call(&router, "DELETE", at, "one", "").await.0, 403);
    assert_eq!(call(&router, "DELETE", &format!("{at}/one"), "two", "").await.0, 200);
    assert_eq!(call(&router, "DELETE", at, "two", "").await.0, 200);
    let push = "psh.01KB0000000000000000000000";
    assert_eq!(*desk.0.lock().unwrap(), ["one", "one", "three"].map(|link| format!("ends {link} of {push}")));
}
