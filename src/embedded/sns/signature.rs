//! Signatures of messages of SNS.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

use crate::events::sns::Digest;

/// Whether the text was signed with the key of that certificate.
pub(super) fn is_signed(digest: Digest, text: &[u8], signature: &[u8], by: &CertificateDer<'_>) -> bool {
    let algorithm = match digest {
        Digest::Sha1 => Rsa { parameters: &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, id: SHA1_WITH_RSA },
        Digest::Sha256 => Rsa { parameters: &RSA_PKCS1_2048_8192_SHA256, id: alg_id::RSA_PKCS1_SHA256 },
    };
    webpki::EndEntityCert::try_from(by)
        .and_then(|certificate| certificate.verify_signature(&algorithm, text, signature))
        .is_ok()
}

/// RSA with PKCS #1 v1.5 padding, as a certificate's key is used for it.
#[derive(Debug)]
struct Rsa {
    parameters: &'static RsaParameters,
    id: AlgorithmIdentifier,
}

/// `sha1WithRSAEncryption`, which is no longer among those that certificates may be signed with.
const SHA1_WITH_RSA: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(&[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
]);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.parameters, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}
