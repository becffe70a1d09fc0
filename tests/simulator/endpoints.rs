//! Buckets on sockets: two places with keys of their own, what other tools ask of S3, and what the
//! controls tell of it.

use std::sync::Arc;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{BucketLocationConstraint, CreateBucketConfiguration, Delete, ObjectIdentifier},
};
use axum::body::Body;
use copy_manager::{
    aws::objects::S3Objects,
    ports::objects::{
        Access, Endpoint, EndpointKeys, ObjectLocation, ObjectStore as _, PartUploads as _, Precondition,
        WriteOptions,
    },
    simulator::{Settings, Simulator, in_process, serve_s3, world::WorldFile},
};
use http::Request;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::read;

/// A place with buckets.
struct Place {
    simulator: Arc<Simulator>,
    url: String,
    _server: JoinSet<()>,
}

impl Place {
    async fn new(buckets: Value) -> Self {
        let world = json!({"projects": [], "buckets": buckets}).to_string();
        let simulator = Simulator::new(Settings::default(), WorldFile::parse(&world).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(serve_s3(listener, Arc::clone(&simulator), CancellationToken::new()));
        Self { simulator, url, _server: server }
    }

    /// Its S3 to whoever has that key.
    fn access(&self, key: Option<&str>) -> Access {
        let keys = key.map_or(EndpointKeys::None, |key| EndpointKeys::Static {
            access_key_id: key.to_owned(),
            secret_access_key: SecretString::from("secret"),
            session_token: None,
        });
        Access::Endpoint(Arc::new(Endpoint { url: Some(self.url.clone()), region: None, keys }))
    }

    fn sdk(&self) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("any", "x", None, None, "test"))
            .region(Region::new("eu-west-1"))
            .endpoint_url(&self.url)
            .force_path_style(true);
        Client::from_conf(config.build())
    }

    async fn told(&self, path: &str) -> Value {
        let request = Request::get(format!("http://simulator{path}")).body(Body::empty()).unwrap();
        serde_json::from_slice(&read(in_process::call(self.simulator.router(), request).await).await).unwrap()
    }
}

#[tokio::test]
async fn bytes_go_from_one_place_to_another() {
    let from = Place::new(json!([{"name": "src", "keys": ["ours"], "objects": [
        {"key": "a", "size": 3_000_000, "metadata": {"x": "y"}}, {"key": "b/{n}", "size": 1, "count": 3},
    ]}]))
    .await;
    let to = Place::new(json!([{"name": "dest", "keys": ["theirs"]}])).await;
    let s3 = S3Objects::new(None);
    let (source, target) = (ObjectLocation::new("src", "a"), ObjectLocation::new("dest", "in/a"));
    let info = s3.look(&source, &from.access(Some("ours"))).await.unwrap().unwrap();
    assert!(s3.look(&source, &from.access(Some("theirs"))).await.is_err(), "each has its own keys");
    let body = s3.get(&source, None, info.etag.as_ref(), &from.access(None)).await.unwrap();
    let there = to.access(Some("theirs"));
    let upload = s3.begin(&target, Some(&info), &WriteOptions::default(), &there).await.unwrap();
    let part = s3.put_part(&target, &upload, 1, info.size, body.bytes, &there).await.unwrap();
    s3.complete(&target, &upload, &[part], &Precondition::Absent, &there).await.unwrap();
    let shown = to.told("/sim/objects?bucket=dest").await;
    assert_eq!((&shown[0]["key"], &shown[0]["metadata"]["x"]), (&json!("in/a"), &json!("y")));
    assert_eq!(shown[0]["md5"], json!(info.etag.unwrap().as_str()));
    let stats = from.told("/sim/stats").await;
    assert_eq!(stats["buckets"]["src"]["unsigned"], 1);
    assert_eq!(stats["buckets"]["src"]["calls"], json!({"GetObject": 1, "HeadObject": 2}));
    let stats = to.told("/sim/stats").await;
    assert_eq!(stats["buckets"]["dest"]["calls"]["UploadPart"], 1);

    s3.begin(&target, None, &WriteOptions::default(), &there).await.unwrap();
    let left = to.told("/sim/uploads?bucket=dest").await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["key"]), (1, &json!("in/a")));
}

#[tokio::test]
async fn other_tools_find_what_they_ask_for() {
    let place = Place::new(json!([
        {"name": "old", "region": "eu-west-1", "objects": [
            {"key": "a", "size": 1}, {"key": "b/1", "size": 1}, {"key": "b/2", "size": 1},
            {"key": "c d", "size": 1, "storageClass": "STANDARD_IA"}, {"key": "e/{n}", "size": 1, "count": 4},
        ]},
    ]))
    .await;
    let s3 = place.sdk();
    let located = s3.get_bucket_location().bucket("old").send().await.unwrap();
    assert_eq!(located.location_constraint(), Some(&BucketLocationConstraint::EuWest1));
    let head = s3.head_bucket().bucket("old").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("eu-west-1"));
    let region = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::UsWest2);
    s3.create_bucket().bucket("new-one").create_bucket_configuration(region.build()).send().await.unwrap();
    assert!(s3.create_bucket().bucket("old").send().await.is_err());
    let buckets = s3.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["new-one", "old"]);

    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let page = s3.list_objects().bucket("old").delimiter("/").max_keys(1).set_marker(marker);
        let page = page.send().await.unwrap();
        seen.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        seen.extend(page.common_prefixes().iter().filter_map(|prefix| prefix.prefix().map(str::to_owned)));
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a", "b/", "c d", "e/"]);
    let keys = ["b/1", "c d", "e/000002", "none"];
    let keys = keys.map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(keys.to_vec())).build().unwrap();
    let deleted = s3.delete_objects().bucket("old").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (4, 0));
    let left = place.simulator.objects("old", "").await;
    let left: Vec<_> = left.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(left, ["a", "b/2", "e/000000", "e/000001", "e/000003"]);
}
