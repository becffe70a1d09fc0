//! Encryption on the way to the database: through something that ends it, before a server that has none.
//!
//! It answers a client's question for encryption, shakes hands, and passes on what is said.

use std::sync::Arc;

use copy_manager::{
    ports::{
        error::Class,
        replica::{Replica as _, Trouble},
    },
    postgres::Postgres,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::world::{on_each, settings, table};

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");

/// Stands before the server on that port, and gives its own port.
#[expect(clippy::disallowed_methods, reason = "it ends with its test")]
async fn terminator(server: u16) -> u16 {
    let certificate = CertificateDer::from_pem_file(format!("{TLS}/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut question = [0; 8];
                client.read_exact(&mut question).await.unwrap();
                assert_eq!(
                    question,
                    [0, 0, 0, 8, 4, 210, 22, 47],
                    "nothing is said before encryption is asked for"
                );
                client.write_all(b"S").await.unwrap();
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn the_certificate_of_the_database_is_verified_unless_the_address_says_less() {
    on_each(|database| async move {
        let port = terminator(database.port).await;
        let name = database.url.rsplit('/').next().unwrap();
        let authority = format!("sslrootcert={TLS}/authority.pem");
        for (host, query, is_good) in [
            ("localhost", format!("?{authority}"), true),
            ("localhost", format!("?sslmode=verify-full&{authority}"), true),
            // The certificate is not of this name.
            ("127.0.0.1", format!("?sslmode=verify-full&{authority}"), false),
            ("127.0.0.1", format!("?{authority}"), false),
            ("127.0.0.1", format!("?sslmode=verify-ca&{authority}"), true),
            ("127.0.0.1", format!("?sslmode=require&{authority}"), true),
            // The authority is none of the system's.
            ("localhost", String::new(), false),
            ("localhost", "?sslmode=verify-full".to_owned(), false),
            ("localhost", "?ssl=verify-ca".to_owned(), false),
            ("localhost", "?sslmode=require".to_owned(), true),
            ("localhost", "?ssl=prefer".to_owned(), true),
        ] {
            let url = format!("postgresql://postgres@{host}:{port}/{name}{query}");
            let opened = Postgres::new(settings(&url)).unwrap().standing("canvas").await;
            match opened {
                Ok(_) => assert!(is_good, "{url}"),
                Err(Trouble::Port(error)) => {
                    assert!(!is_good, "{url}: {error}");
                    assert_eq!(error.class, Class::Forbidden, "{error}");
                    assert!(error.message.contains("certificate"), "{error}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_without_encryption_is_refused_where_encryption_is_required() {
    on_each(|database| async move {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("{}?sslmode={mode}", database.url);
            let trouble = Postgres::new(settings(&url)).unwrap().open(&table()).await.err().unwrap();
            let Trouble::Port(error) = &trouble else { panic!("{trouble}") };
            assert_eq!(error.class, Class::Forbidden, "{error}");
            assert!(error.message.contains("does not support TLS"), "{error}");
        }
        for mode in ["disable", "prefer"] {
            let url = format!("{}?sslmode={mode}", database.url);
            assert!(Postgres::new(settings(&url)).unwrap().open(&table()).await.unwrap().is_some());
        }
    })
    .await;
}
