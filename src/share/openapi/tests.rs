//! The description is that of what is served.

use std::collections::BTreeSet;

use pretty_assertions::assert_eq;

use super::*;
use crate::share::tests::{Desk, call, share};

const ULID: &str = "01KB0000000000000000000000";

#[tokio::test]
async fn every_route_is_described_and_every_description_is_of_a_route() {
    let router = share(&Arc::new(Desk::default()));
    for route in all() {
        let path = route.path.replace("{id}", ULID).replace("{link}", "one");
        let method = route.method.to_uppercase();
        let (status, said) = call(&router, &method, &format!("/api/v1{path}"), "two", "").await;
        let leads_on = status != 405 && said != r#"{"detail":"Not Found"}"#;
        assert!(leads_on, "{method} {path} is described and leads nowhere: {said}");
        let (status, said) = call(&router, &method, &format!("/api/v1{path}"), "", "").await;
        assert_eq!(status, 401, "{method} {path} asks for no token: {said}");
    }
    let described: BTreeSet<String> = all().iter().map(|route| route.path.to_owned()).collect();
    let mut served = BTreeSet::new();
    for (text, of_push) in [(include_str!("../routes.rs"), "fn one_push"), (include_str!("../links.rs"), "-")]
    {
        for path in text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            served.insert(path.trim_end_matches('/').to_owned());
        }
        // What stands behind a colon, as it is dispatched.
        let (packages, pushes) = text.split_once(of_push).unwrap_or((text, ""));
        for (text, path) in [(packages, "/package/{id}"), (pushes, "/push/{id}")] {
            let verbs = text.split("(Method::").skip(1).filter_map(|rest| {
                let verb = rest.split_once("=>")?.0.split_once("Some(\"")?.1.split_once('"')?.0;
                Some(format!("{path}:{verb}"))
            });
            served.extend(verbs);
        }
    }
    // One verb alone is known there.
    assert!(served.remove("/auto/{id}") && served.insert("/auto/{id}:approve".to_owned()));
    assert_eq!(described, served);
}

#[tokio::test]
async fn the_description_can_be_read_and_looked_at_without_any_network() {
    let router = share(&Arc::new(Desk::default()));
    let (status, text) = call(&router, "GET", "/schema/openapi.json", "", "").await;
    let described: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &described["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(described["servers"][0]["url"], "https://share.example.org");
    let schemas = described["components"]["schemas"].as_object().unwrap();
    let referred = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
    for name in referred {
        assert!(schemas.contains_key(name), "{name} of {:?}", schemas.keys().collect::<Vec<_>>());
    }
    let of = &schemas["PackageShown"]["properties"];
    assert_eq!(of["requestTime"]["format"], "date-time");
    assert!(of["stepsExecutionArn"].is_object() && of["status"].is_object(), "{of}");

    #[cfg(feature = "docs")]
    {
        let (status, page) = call(&router, "GET", "/schema/swagger-ui/", "", "").await;
        assert_eq!(status, 200);
        assert!(page.contains("<title>Data Sharing Manager Swagger Page</title>"), "{page}");
        assert!(!page.contains("//cdn") && !page.contains("https://"), "{page}");
        let (status, script) =
            call(&router, "GET", "/schema/swagger-ui/swagger-initializer.js", "", "").await;
        assert!(status == 200 && script.contains("/schema/openapi.json"), "{script}");
        assert_eq!(call(&router, "GET", "/schema/swagger-ui", "", "").await.0, 303);
        assert_eq!(call(&router, "GET", "/schema/swagger-ui/nothing", "", "").await.0, 404);
    }
}
