//! The studio at an address that the network reaches: a certificate, given or made here, and a listener that encrypts.
//!
//! A certificate that was made here is signed by itself. No browser knows it, so its fingerprint is what the user compares: SHA-256 over the
//! certificate, as browsers show it.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// Days that a certificate made here holds; browsers distrust more than 398.
const LIFE_DAYS: i64 = 397;
/// Age at which another one is made.
const AGE_MAX: Duration = Duration::from_secs(360 * 86_400);
/// How long a client may take to agree on a key.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Clients that agree on a key at a time.
const HANDSHAKES_MAX: usize = 64;
/// How long no connection is taken after one could not be, for instance for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// A certificate with its private key.
pub struct Certificate {
    config: Arc<ServerConfig>,
    fingerprint: String,
    file: PathBuf,
}

impl Certificate {
    /// Reads a certificate chain and its private key, both PEM; one file may hold both.
    ///
    /// # Errors
    /// If a file cannot be read, holds no such thing, or others may read the key; if certificate and key do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> std::io::Result<Self> {
        let mode = std::fs::metadata(key)
            .map_err(|error| about(key, error))?
            .permissions()
            .mode();
        if mode & 0o007 != 0 {
            return Err(std::io::Error::other(format!(
                "`{}` can be read by everybody (mode {:o}); `chmod 600` it",
                key.display(),
                mode & 0o777
            )));
        }
        let text = std::fs::read(certificate).map_err(|error| about(certificate, error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| about(certificate, error))?;
        let Some(first) = chain.first() else {
            return Err(about(certificate, "no certificate (`BEGIN CERTIFICATE`) in it"));
        };
        let fingerprint = fingerprint(first);
        let secret = PrivateKeyDer::from_pem_slice(&std::fs::read(key).map_err(|error| about(key, error))?)
            .map_err(|_| about(key, "no private key (`BEGIN PRIVATE KEY`) in it"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| about(certificate, error))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| {
                about(
                    certificate,
                    format!("does not go with `{}`: {error}", key.display()),
                )
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            fingerprint,
            file: certificate.to_owned(),
        })
    }

    /// The certificate for `host` and `names` in `folder`; made if there is none, if it is a year old, or if it does not hold for all names.
    ///
    /// # Errors
    /// If the files cannot be written or read.
    pub fn own(folder: &Path, host: IpAddr, names: &[String]) -> std::io::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| about(folder, error))?;
        let mut all = vec!["localhost".to_owned()];
        if !host.is_unspecified() {
            all.push(host.to_string());
        }
        // The port of a name is no part of what a certificate says.
        all.extend(names.iter().map(|name| match name.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name.to_owned(),
            _ => name.clone(),
        }));
        let listed = all.join("\n");
        let file = folder.join(format!("{host}.pem"));
        let holds_for = folder.join(format!("{host}.names"));
        let good = std::fs::metadata(&file)
            .and_then(|meta| meta.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age < AGE_MAX))
            && std::fs::read_to_string(&holds_for).is_ok_and(|text| text == listed);
        if !good {
            let text = signed_by_itself(&all).map_err(|error| about(&file, error))?;
            // Complete or not at all: another studio of this folder may start at the same time.
            let mut draft = tempfile::Builder::new()
                .permissions(std::fs::Permissions::from_mode(0o600))
                .tempfile_in(folder)?;
            draft.write_all(text.as_bytes())?;
            draft.persist(&file).map_err(|error| about(&file, error))?;
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&holds_for)?
                .write_all(listed.as_bytes())?;
        }
        Self::read(&file, &file)
    }

    /// SHA-256 over the certificate: 32 pairs of hex digits between colons.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The file with the certificate, for clients that are to trust it.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn about(path: &Path, error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(format!("`{}`: {error}", path.display()))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    ring::digest::digest(&ring::digest::SHA256, certificate)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

/// A new certificate for the names, and its key behind it.
fn signed_by_itself(names: &[String]) -> Result<String, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "overdrive studio");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = jiff::Timestamp::now();
    let date = |days: i64| {
        let day = jiff::tz::TimeZone::UTC.to_datetime(now + jiff::SignedDuration::from_hours(24 * days));
        rcgen::date_time_ymd(
            i32::from(day.year()),
            u8::try_from(day.month()).unwrap_or(1),
            u8::try_from(day.day()).unwrap_or(1),
        )
    };
    // A clock that is a little behind must find it good already.
    params.not_before = date(-1);
    params.not_after = date(LIFE_DAYS - 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

/// Connections that have agreed on a key; those that are slow at it keep nobody waiting.
pub(super) struct Encrypted {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Encrypted {
    /// Must be called within a runtime.
    pub(super) fn new(listener: TcpListener, certificate: &Certificate) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(certificate.config.clone());
        let (found, ready) = mpsc::channel(16);
        let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        tokio::spawn(async move {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else {
                    return;
                };
                let taken = tokio::select! {
                    taken = listener.accept() => taken,
                    () = found.closed() => return,
                };
                let Ok((stream, peer)) = taken else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let (acceptor, found) = (acceptor.clone(), found.clone());
                tokio::spawn(async move {
                    let agreed = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
                    drop(place);
                    if let Ok(Ok(stream)) = agreed {
                        let _ = found.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self { ready, address })
    }
}

impl axum::serve::Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The task that accepts lives as long as this does.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
