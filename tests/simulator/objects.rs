//! Our own S3 adapter and uploads against the simulator's buckets, without a socket.

use std::{sync::Arc, time::Duration};

use copy_manager::{
    aws::objects::S3Objects,
    domain::{file::ETag, hosts::UrlHosts, ids::ProjectId},
    icav2::{self, auth::StaticToken, client::Client},
    ports::{
        Class,
        chance::Dice,
        clock::SystemClock,
        objects::{
            Access, ObjectCopy, ObjectStore as _, PartUploads as _, Parts, Precondition, Tagging,
            WriteOptions,
        },
        platform::{DataPlatform as _, Destination},
        transfers::{ObjectSource, PartsUpload, Transfers as _},
    },
    simulator::{Settings, in_process::InProcess},
    transfer::{self, http::ReqwestWire, stream::Streams},
};
use futures_util::TryStreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::support::{ARCHIVE, Lab};

#[tokio::test(start_paused = true)]
async fn our_adapter_uploads_copies_and_reads() {
    let lab = Lab::new(Settings { index_delay: Duration::from_secs(5), ..Settings::default() });
    let client = Client::new(
        Arc::new(InProcess::new(&lab.simulator)),
        Arc::new(StaticToken::new("token").unwrap()),
        Arc::new(SystemClock::new()),
        Arc::new(Dice::from_seed(1)),
        icav2::Settings::default(),
    );
    let project = ProjectId::new(ARCHIVE);
    let root = client.storage(&project).await.unwrap();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region("ap-southeast-2")
        .credentials_provider(aws_credential_types::Credentials::new("own", "own", None, None, "test"))
        .http_client(lab.simulator.s3_service())
        .load()
        .await;
    let s3 = Arc::new(S3Objects::from_config(&config, Some("http://s3.simulated".into())));
    let made = client.create_folder(&project, &"/up/".to_owned().try_into().unwrap(), "k").await.unwrap();
    let (_, access) = client
        .create_file_for_parts(&project, &Destination::Folder(made.id.clone()), "big é+.bin", "key")
        .await
        .unwrap();
    let key = access.prefix.clone();
    if let Some((bucket, _)) = &root {
        let (owner, path) = client.locate(bucket, &key).await.unwrap().unwrap();
        assert_eq!((owner.id, path.as_str()), (project.clone(), "/up/big é+.bin"));
    }
    let to = copy_manager::ports::objects::ObjectLocation::new(access.bucket.clone(), key.clone());
    let access = Access::Temporary(access);
    // A source: first upload by put_part.
    let streamed = WriteOptions { streamed: true, ..WriteOptions::default() };
    let upload = s3.begin(&to, None, &streamed, &access).await.unwrap();
    let chunk = bytes::Bytes::from(vec![7u8; 8 << 20]);
    let body = |bytes: bytes::Bytes| Box::pin(futures_util::stream::iter([Ok(bytes)]));
    let a = s3.put_part(&to, &upload, 1, 8 << 20, body(chunk.clone()), &access).await.unwrap();
    let b = s3.put_part(&to, &upload, 2, 3, body(bytes::Bytes::from_static(b"end")), &access).await.unwrap();
    let etag = s3.complete(&to, &upload, &[a, b], &Precondition::None, &access).await.unwrap();
    let info = s3.head(&to, &access).await.unwrap().unwrap();
    assert_eq!(info.etag, Some(etag.clone()));
    assert_eq!(info.parts, Some(Parts { count: 2, first: 8 << 20 }));
    // Copy within the folder, with the same parts.
    let folder = client.write_access(&project, &made.id).await.unwrap();
    let other = folder.below("renamed");
    let folder = Access::Temporary(folder);
    let copy = ObjectCopy {
        from: to.clone(),
        to: other.clone(),
        size: info.size,
        etag: info.etag.clone(),
        parts: info.parts,
        precondition: Precondition::Absent,
        options: WriteOptions::default(),
        tagging: Tagging::Keep,
    };
    assert_eq!(s3.copy(&copy, &folder).await.unwrap(), etag);
    assert_eq!(s3.copy(&copy, &folder).await.unwrap_err().class, Class::Conflict);
    let whole = ObjectCopy { to: s3_location(&other, "2"), parts: None, ..copy.clone() };
    // In one piece it gets another tag.
    assert_ne!(s3.copy(&whole, &folder).await.unwrap(), etag);
    let page = s3.list(&other.bucket, &other.key, None, &folder).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let read: Vec<bytes::Bytes> = s3
        .get(&other, Some((8 << 20) - 1..(8 << 20) + 2), Some(&ETag::new(etag.as_str())), &folder)
        .await
        .unwrap()
        .bytes
        .try_collect()
        .await
        .unwrap();
    assert_eq!(read.concat(), [7, b'e', b'n']);
    // Upload by the transfer.
    let wire = ReqwestWire::new(UrlHosts::default()).unwrap();
    let streams =
        Streams::new(Arc::new(wire), transfer::stream::Settings::default()).with_objects(s3.clone());
    let third = s3_location(&other, "3");
    let from = ObjectSource { at: other.clone(), access: folder.clone(), etag: info.etag.clone() }.into();
    let upload = PartsUpload {
        from,
        size: info.size,
        etag: info.etag,
        parts: Some(vec![info.parts.unwrap().first, info.size - info.parts.unwrap().first]),
        to: third.clone(),
        access: folder.clone(),
    };
    assert_eq!(streams.upload_parts(upload, &CancellationToken::new()).await.unwrap(), etag);
    let read_only = Access::Temporary(client.read_access(&project, &made.id).await.unwrap());
    let refused = s3.begin(&third, None, &WriteOptions::default(), &read_only).await.unwrap_err();
    assert_eq!(refused.class, Class::Forbidden);
}

fn s3_location(
    at: &copy_manager::ports::objects::ObjectLocation,
    more: &str,
) -> copy_manager::ports::objects::ObjectLocation {
    copy_manager::ports::objects::ObjectLocation::new(at.bucket.clone(), format!("{}{more}", at.key))
}
