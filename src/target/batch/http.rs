//! Requests to the two services behind a target: tried again where that can help, their errors in words.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use ureq::http::{Request, StatusCode};
use ureq::tls::TlsConfig;

/// How often a request is tried when the service is busy or does not answer.
const TRIES: u32 = 4;
/// Pause before the second try, doubled for each one after it, unless the service names one.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a service may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long to wait for a connection, and for the service's first word.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long a body may stand still.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Largest body that is read whole.
const LARGEST: u64 = 64 << 20;

/// Why there is no answer that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Perhaps later: no answer, or the service is busy.
    Later(String),
    /// The service understood and refused; the code is its own word for why, empty if it has none.
    Refused {
        status: u16,
        code: String,
        message: String,
    },
}

impl Failure {
    /// Whether the service said so with this HTTP status.
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// Whether the service gave this word for why.
    pub(super) fn says(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Later(reason) => reason.clone(),
            Self::Refused {
                status,
                code,
                message,
            } => {
                let first = message.lines().next().unwrap_or_default().trim();
                match (code.as_str(), first) {
                    ("", "") => format!("status {status}"),
                    ("", first) => format!("status {status}: {first}"),
                    (code, "") => format!("{code} ({status})"),
                    (code, first) => format!("{code} ({status}): {first}"),
                }
            }
        }
    }
}

/// One request, made anew for each try since its date is signed.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) address: String,
    pub(super) headers: BTreeMap<String, String>,
    /// `None` = no body at all.
    pub(super) body: Option<Body<'a>>,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Bytes(&'a [u8]),
    File(&'a Path),
}

/// The way to both services.
#[derive(Clone)]
pub(super) struct Http {
    agent: ureq::Agent,
}

impl Http {
    pub(super) fn new() -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("overdrive/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(STANDSTILL));
        if let Some(roots) = crate::download::roots() {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self {
            agent: config.build().new_agent(),
        }
    }

    /// Makes a request until it is answered, as often as can help.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn ask<'a>(&self, make: &dyn Fn() -> Result<Call<'a>, Failure>) -> Result<Vec<u8>, Failure> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let (outcome, wait) = self.once(make()?);
            if tries == TRIES || !matches!(outcome, Err(Failure::Later(_))) {
                return outcome;
            }
            std::thread::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE));
            pause *= 2;
            tries += 1;
        }
    }

    /// Fetches what lies at `address` into a file, which appears whole or not at all; `false` if nothing lies there.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn download(&self, address: &str, header: (&str, &str), path: &Path) -> Result<bool, Failure> {
        let later = |error: &dyn std::fmt::Display| Failure::Later(error.to_string());
        let mut pause = PAUSE;
        for attempt in 1.. {
            let fetched = self.agent.get(address).header(header.0, header.1).call();
            let failure = match fetched {
                Ok(response) if response.status().is_success() => {
                    let folder = path.parent().unwrap_or(Path::new("."));
                    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(|error| later(&error))?;
                    let mut body = response.into_body().into_reader();
                    match std::io::copy(&mut body, draft.as_file_mut()) {
                        Ok(_) => {
                            draft.persist(path).map_err(|error| later(&error.error))?;
                            return Ok(true);
                        }
                        Err(error) => later(&error),
                    }
                }
                Ok(response) if response.status() == StatusCode::NOT_FOUND => return Ok(false),
                Ok(response) => refusal(response.status(), "", &[]),
                Err(error) => later(&error),
            };
            if attempt >= TRIES || !matches!(failure, Failure::Later(_)) {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Err(Failure::Later("no answer".into()))
    }

    /// Makes it once; with how long the service asks to wait.
    fn once(&self, call: Call<'_>) -> (Result<Vec<u8>, Failure>, Option<Duration>) {
        let mut request = Request::builder().method(call.method).uri(&call.address);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let later = |reason: String| (Err(Failure::Later(reason)), None);
        let sent = match call.body {
            None => request.body(()).map(|request| self.agent.run(request)),
            Some(Body::Bytes(bytes)) => request.body(bytes).map(|request| self.agent.run(request)),
            Some(Body::File(path)) => match std::fs::File::open(path) {
                Ok(file) => request.body(file).map(|request| self.agent.run(request)),
                Err(error) => return later(format!("{}: {error}", path.display())),
            },
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return later(error.to_string()),
            Err(error) => return later(error.to_string()),
        };
        let status = response.status();
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let error_code = response
            .headers()
            .get("x-ms-error-code")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut body = Vec::new();
        let read = response
            .into_body()
            .into_reader()
            .take(LARGEST)
            .read_to_end(&mut body);
        if let Err(error) = read {
            return later(error.to_string());
        }
        if status.is_success() {
            return (Ok(body), None);
        }
        let failure = refusal(status, &error_code, &body);
        (Err(failure), wait)
    }
}

/// What a service says when it refuses.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<Message>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Localised { value: String },
}

fn refusal(status: StatusCode, code: &str, body: &[u8]) -> Failure {
    let said: Option<Said> = serde_json::from_slice(body).ok();
    let (code, message) = match said {
        Some(Said { code: own, message }) => {
            let message = match message {
                Some(Message::Text(text) | Message::Localised { value: text }) => text,
                None => String::new(),
            };
            (if own.is_empty() { code.to_owned() } else { own }, message)
        }
        None => (code.to_owned(), String::new()),
    };
    let refused = Failure::Refused {
        status: status.as_u16(),
        code,
        message,
    };
    match status.as_u16() {
        408 | 429 | 500 | 502..=504 => Failure::Later(refused.text()),
        _ => refused,
    }
}

/// Text as one part of a path or a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_services_are_understood() {
        let batch =
            br#"{"code":"TaskNotFound","message":{"lang":"en-US","value":"The task is gone.\nRequestId:1"}}"#;
        let failure = refusal(StatusCode::NOT_FOUND, "", batch);
        assert!(failure.is(404) && failure.says("TaskNotFound"));
        assert_eq!(failure.text(), "TaskNotFound (404): The task is gone.");
        let blob = refusal(StatusCode::CONFLICT, "BlobAlreadyExists", b"<xml/>");
        assert!(blob.is(409) && blob.says("BlobAlreadyExists"));
        let busy = br#"{"code":"ServerBusy","message":"slow down"}"#;
        assert_eq!(
            refusal(StatusCode::SERVICE_UNAVAILABLE, "", busy),
            Failure::Later("ServerBusy (503): slow down".into())
        );
    }
}
