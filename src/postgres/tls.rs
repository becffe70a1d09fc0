//! Encryption on the way to the database, by what HTTPS is built on.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Check};

/// What connects with encryption to an address. Authorities are read each time, as they may change.
pub(super) async fn connector(address: &Address) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match address.check {
        Check::None => Arc::new(Lenient { provider: provider.clone(), below: None }),
        Check::Authority => {
            let below = Some(checked(address.authorities.as_deref(), &provider).await?);
            Arc::new(Lenient { provider: provider.clone(), below })
        }
        Check::Full => checked(address.authorities.as_deref(), &provider).await?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Checks chain and name, by authorities in a file or by those of the system.
async fn checked(
    authorities: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let Some(path) = authorities else {
        let verifier = rustls_platform_verifier::Verifier::new(provider.clone());
        return Ok(Arc::new(verifier.map_err(|error| error.to_string())?));
    };
    let shown = path.display();
    let text = tokio::fs::read(path).await.map_err(|error| format!("sslrootcert {shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("sslrootcert {shown}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("sslrootcert {shown}: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    verifier.map(|verifier| verifier as _).map_err(|error| format!("sslrootcert {shown}: {error}"))
}

/// Takes a certificate of another name, or any; the other side must in any case have its key.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    below: Option<Arc<dyn ServerCertVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(below) = &self.below else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at when all else is found right.
        match below.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
