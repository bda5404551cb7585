//! Which certificates are trusted, and what is wrong with one that is not.

use chrono::DateTime;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::error::Problem;
use crate::seams;

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
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// What a certificate that is not accepted means.
pub(super) fn problem(error: &CertificateError) -> Problem {
    let dates = |date: &UnixTime, is_expired| {
        let seconds = i64::try_from(date.as_secs()).ok()?;
        Some(Problem::CertificateDates { date: DateTime::from_timestamp(seconds, 0)?, now: seams::now(), is_expired })
    };
    let of_dates = match error {
        CertificateError::ExpiredContext { not_after, .. } => dates(not_after, true),
        CertificateError::NotValidYetContext { not_before, .. } => dates(not_before, false),
        _ => None,
    };
    of_dates.unwrap_or_else(|| {
        let what = match error {
            CertificateError::Other(error) => error.0.to_string(),
            error => error.to_string(),
        };
        Problem::Certificate(if what.contains("CaUsedAsEndEntity") {
            "it is marked as an authority's (CA:TRUE), which may sign certificates but not be a server's own".into()
        } else if what.contains("UnsupportedCertVersion") {
            "it is of an outdated version, not 3: create it with extensions, such as the host's name".into()
        } else {
            what
        })
    })
}
