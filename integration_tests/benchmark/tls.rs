//! A server in front of the fake that speaks TLS.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use fake_100ms::Fake;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::Done;

/// The certificate that it shows, which nobody else trusts.
pub fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/certificates/server.pem")
}

/// Serves until the process ends; returns its address.
pub fn before(fake: &Fake) -> Done<String> {
    let chain = vec![CertificateDer::from_pem_file(certificate())?];
    let key = PrivateKeyDer::from_pem_file(certificate().with_file_name("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = format!("https://{}", listener.local_addr()?);
    let (acceptor, behind) = (TlsAcceptor::from(Arc::new(config)), fake.url().trim_start_matches("http://").to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || runtime.block_on(serve(listener, acceptor, behind)));
    Ok(address)
}

/// Passes on what each connection brings, until nobody listens any more.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (connection, _) = listener.accept().await?;
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            let (mut inside, mut outside) = (TcpStream::connect(behind).await?, acceptor.accept(connection).await?);
            inside.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
