//! One request: conditional, followed through redirects, tried again where that can help, the body hashed while it comes.

use super::DownloadError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// How often an address is tried when it does not answer or says that it is busy.
const TRIES: u32 = 3;
/// Pause before the second try; doubled for the third.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for a connection, and for the server's first word.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a body may stand still.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Least time between two words about progress.
const TELL: Duration = Duration::from_secs(2);
/// Where systems keep the certificates that their owner trusts; the first that is there counts.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// By what a server knows which version of a file somebody has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// What a server answered.
pub(super) enum Answer {
    /// It still has what is in the cache.
    Unchanged,
    /// The whole file.
    File {
        draft: tempfile::NamedTempFile,
        content: String,
        bytes: u64,
        marks: Marks,
    },
}

/// Asks for `address`; with `marks` only if it has changed since. The body goes to a draft in `cache`.
pub(super) fn get(
    address: &str,
    shown: &str,
    marks: Option<&Marks>,
    cache: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Answer, DownloadError> {
    let agent = agent();
    let mut pause = PAUSE;
    let mut tries = 1;
    loop {
        let outcome = once(&agent, address, shown, marks, cache, progress);
        let again = match &outcome {
            Err(DownloadError::Unreachable { .. } | DownloadError::Cut { .. }) => true,
            Err(DownloadError::Refused { status, .. }) => {
                status.starts_with('5') || status.starts_with("429")
            }
            _ => false,
        };
        if !again || tries == TRIES {
            return outcome;
        }
        std::thread::sleep(pause);
        pause *= 2;
        tries += 1;
    }
}

fn once(
    agent: &ureq::Agent,
    address: &str,
    shown: &str,
    marks: Option<&Marks>,
    cache: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Answer, DownloadError> {
    let mut request = agent.get(address);
    for (header, mark) in [
        ("if-none-match", marks.and_then(|marks| marks.etag.as_ref())),
        (
            "if-modified-since",
            marks.and_then(|marks| marks.last_modified.as_ref()),
        ),
    ] {
        if let Some(mark) = mark {
            request = request.header(header, mark);
        }
    }
    let response = request.call().map_err(|error| DownloadError::Unreachable {
        address: shown.to_owned(),
        reason: error.to_string(),
    })?;
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED {
        return Ok(Answer::Unchanged);
    }
    if status != StatusCode::OK {
        return Err(DownloadError::Refused {
            address: shown.to_owned(),
            status: status.to_string(),
        });
    }
    let marks = marks_of(response.headers());
    let mut body = response.into_body();
    let expected = body.content_length();
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| DownloadError::Cache { path, source }
    };
    fs::create_dir_all(cache).map_err(failed(cache))?;
    let mut draft = tempfile::NamedTempFile::new_in(cache).map_err(failed(cache))?;
    progress(&match expected {
        Some(bytes) => format!("fetching {shown} ({})", size(bytes)),
        None => format!("fetching {shown}"),
    });
    let mut hasher = blake3::Hasher::new();
    let mut reader = body.as_reader();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0_u64;
    let mut told = Instant::now();
    loop {
        let cut = |reason: String| DownloadError::Cut {
            address: shown.to_owned(),
            got: bytes,
            reason,
        };
        let read = match reader.read(&mut buffer) {
            Ok(0) if expected.is_some_and(|expected| expected != bytes) => {
                return Err(cut("the end came too early".into()));
            }
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut(error.to_string())),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        hasher.update(piece);
        draft.write_all(piece).map_err(failed(cache))?;
        bytes += read as u64;
        if told.elapsed() >= TELL {
            told = Instant::now();
            progress(&match expected {
                Some(all) => format!("{shown}: {} of {}", size(bytes), size(all)),
                None => format!("{shown}: {}", size(bytes)),
            });
        }
    }
    Ok(Answer::File {
        draft,
        content: hasher.finalize().to_hex().to_string(),
        bytes,
        marks,
    })
}

fn marks_of(headers: &HeaderMap) -> Marks {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    Marks {
        etag: text("etag"),
        last_modified: text("last-modified"),
    }
}

fn agent() -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("overdrive/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(STANDSTILL));
    if let Some(roots) = roots() {
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    config.build().new_agent()
}

/// The certificates that this machine trusts (`SSL_CERT_FILE` first); `None` = those that were built in.
pub(crate) fn roots() -> Option<RootCerts> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let text = named
        .as_deref()
        .map(Path::new)
        .into_iter()
        .chain(TRUSTED.iter().map(Path::new))
        .find_map(|path| fs::read(path).ok())?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then(|| RootCerts::Specific(Arc::new(certificates)))
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes >= 1.0 {
        format!("{mebibytes:.1} MiB")
    } else {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    }
}
