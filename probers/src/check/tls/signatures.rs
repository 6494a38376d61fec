//! Which signatures of certificates and handshakes are verified: those that ring has, and ECDSA on the curve
//! P-521 and with SHA-512 on the others, which it has not (FIPS 186-5; RFC 5758, section 3.2).

use std::fmt;
use std::sync::{Arc, LazyLock};

use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest as _, Sha384, Sha512};

/// What checks encrypt and verify with.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let algorithms = *ALGORITHMS;
    let provider = ring::default_provider();
    Arc::new(CryptoProvider { signature_verification_algorithms: algorithms, ..provider })
}

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let rings = ring::default_provider().signature_verification_algorithms;
    let all: Vec<Algorithm> = rings.all.iter().copied().chain(OWN).collect();
    let mut mapping: Vec<(SignatureScheme, &'static [Algorithm])> = rings.mapping.to_vec();
    mapping.push((SignatureScheme::ECDSA_NISTP521_SHA512, &OWN_SHA512[..]));
    // Built once a process.
    WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
});

const OWN: [Algorithm; 4] = [&P521_SHA512, &P521_SHA384, &P384_SHA512, &P256_SHA512];
/// TLS 1.2 names the hash alone, whatever the curve (RFC 5246, section 7.4.1.4.1); TLS 1.3 takes the first.
static OWN_SHA512: [Algorithm; 3] = [&P521_SHA512, &P384_SHA512, &P256_SHA512];

/// Whether a public key (SEC 1) made a signature (DER) of a message.
type Verify = fn(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()>;

/// ECDSA with a curve and a hash.
struct Ecdsa {
    name: &'static str,
    curve: AlgorithmIdentifier,
    hash: AlgorithmIdentifier,
    verify: Verify,
}

static P521_SHA512: Ecdsa = Ecdsa {
    name: "ECDSA_P521_SHA512",
    curve: alg_id::ECDSA_P521,
    hash: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| p521_verify(key, &Sha512::digest(message), signature),
};
static P521_SHA384: Ecdsa = Ecdsa {
    name: "ECDSA_P521_SHA384",
    curve: alg_id::ECDSA_P521,
    hash: alg_id::ECDSA_SHA384,
    verify: |key, message, signature| p521_verify(key, &Sha384::digest(message), signature),
};
static P384_SHA512: Ecdsa = Ecdsa {
    name: "ECDSA_P384_SHA512",
    curve: alg_id::ECDSA_P384,
    hash: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
        key.verify_prehash(&Sha512::digest(message), &signature).ok()
    },
};
static P256_SHA512: Ecdsa = Ecdsa {
    name: "ECDSA_P256_SHA512",
    curve: alg_id::ECDSA_P256,
    hash: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
        key.verify_prehash(&Sha512::digest(message), &signature).ok()
    },
};

fn p521_verify(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p521::ecdsa::Signature::from_der(signature).ok()?;
    key.verify_prehash(hash, &signature).ok()
}

impl fmt::Debug for Ecdsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        (self.verify)(public_key, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.curve
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.hash
    }
}
