//! Encrypted connections to PostgreSQL: whose certificate is taken, and what to do about one that is not.

use std::{error::Error, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::open::OpenError;

/// What the driver says, by text only, when the server would not encrypt.
const NOT_OFFERED: &str = "server does not support TLS";

/// Takes the certificate of whoever has the host's name in it and is vouched for by a root: one of `roots`, a file in PEM, or else of this machine.
pub(crate) fn verified(roots: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => {
            let of_file = |error: Box<dyn Error + Send + Sync>| OpenError::Roots { file: file.to_owned(), source: error };
            for root in CertificateDer::pem_file_iter(file).map_err(|error| of_file(error.into()))? {
                let root = root.map_err(|error| of_file(error.into()))?;
                store.add(root).map_err(|error| of_file(error.into()))?;
            }
            if store.is_empty() {
                return Err(of_file("it has no certificate: a root is wanted between BEGIN CERTIFICATE and END CERTIFICATE".into()));
            }
        }
        // OK to pass over some that cannot be read: who needs one of them is told that it is not known.
        None => _ = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    let config = builder()?.with_root_certificates(store).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Takes every certificate: keeps those out who only listen.
pub(crate) fn unverified() -> Result<MakeRustlsConnect, OpenError> {
    let verifier = Arc::new(Anybody(provider()));
    Ok(MakeRustlsConnect::new(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, OpenError> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(|error| OpenError::Tls(error.into()))
}

/// Whose certificate it is, is not asked; but he must have its key, so that a password by SCRAM is bound to this very server.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unless_unreadable(verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unless_unreadable(verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate of an old form, as Citus makes one for itself (X.509 version 1), is not read: its key proves nothing then, to nobody in particular. A
/// proof that is wrong stays an error.
fn unless_unreadable(checked: Result<HandshakeSignatureValid, rustls::Error>) -> Result<HandshakeSignatureValid, rustls::Error> {
    match checked {
        Err(rustls::Error::InvalidCertificate(CertificateError::BadEncoding | CertificateError::Other(_))) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        checked => checked,
    }
}

/// If encryption is why there is no connection: what to do about it.
#[must_use]
pub fn advice_on_encryption(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        // The error in an error of input and output is not its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let fault = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(fault) = fault {
            return Some(advice_on(fault));
        }
        if error.to_string() == NOT_OFFERED {
            return Some(
                "set ssl = on in PostgreSQL's configuration, with a certificate; or leave out sslmode, for a network that nobody else is on",
            );
        }
        next = error.source();
    }
    None
}

fn advice_on(fault: &rustls::Error) -> &'static str {
    match fault {
        // The second: of a root with the same name and another key.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "nothing that this machine trusts vouches for the server's certificate: name the file of the root that does with sslrootcert=FILE in \
             the address of the database; if there is such a file in it, it is another server's, or somebody else answers"
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: write the host in the address of the database as the certificate has it, or make one with \
             this name as subjectAltName"
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it; or this machine's clock is wrong"
        }
        rustls::Error::InvalidCertificate(_) => {
            "the server needs a certificate of its own, with its name as subjectAltName, that is signed by a root (PostgreSQL's manual, \
             Creating Certificates, has the commands); one that signed itself is none"
        }
        _ => "look whether it is PostgreSQL that answers there, with TLS 1.2 or later",
    }
}

#[cfg(test)]
mod tests {
    use rustls::OtherError;

    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_read_proves_nothing_and_a_wrong_proof_is_an_error() {
        let unreadable = CertificateError::Other(OtherError(Arc::new(std::io::Error::other("of the first version"))));
        for (fault, is_taken) in [(unreadable, true), (CertificateError::BadEncoding, true), (CertificateError::BadSignature, false)] {
            let taken = unless_unreadable(Err(rustls::Error::InvalidCertificate(fault.clone())));
            assert_eq!(taken.is_ok(), is_taken, "{fault:?}");
        }
        assert!(unless_unreadable(Err(rustls::Error::DecryptError)).is_err());
    }
}
