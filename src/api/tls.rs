//! Which certificates are trusted.

use std::sync::Arc;

/// TLS with the compiled-in roots and those of `SSL_CERT_FILE`.
pub(super) fn config() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        use rustls::pki_types::pem::PemObject;
        let unreadable = || {
            format!(
                "`SSL_CERT_FILE` names `{}`, which holds no readable certificates: name a PEM file, or unset it.",
                file.to_string_lossy()
            )
        };
        let certificates = rustls::pki_types::CertificateDer::pem_file_iter(&file).map_err(|_| unreadable())?;
        let (added, _) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        if added == 0 {
            return Err(unreadable());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS could not be set up: {error}."))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
