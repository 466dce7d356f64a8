//! Who may talk to the studio: token, cookie, `Host`, `Origin`, and the headers that confine the page.
//!
//! The token (256 bits) lies in a file of mode 0600 in the state folder. Programs send it as `Authorization: Bearer`. A browser gets in by a one-time
//! code (60 s) in the address that `overdrive studio` prints, and then holds a cookie (`HttpOnly; SameSite=Strict`) that is derived
//! from the token and therefore survives a restart. Checks hold for every route and method alike.

use crate::studio::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Name of the cookie.
const COOKIE: &str = "overdrive_session";

/// How long a one-time code is good.
const CODE_LIFE: Duration = Duration::from_secs(60);

/// Content security policy of every answer: nothing from elsewhere, no inline script or style, trusted types only.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; worker-src 'self'; font-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types od-worker";

/// The keys of one studio.
pub struct Access {
    token: String,
    session: String,
    codes: Mutex<HashMap<String, Instant>>,
}

impl Access {
    /// Reads the token file, or makes it.
    ///
    /// # Errors
    /// If the file cannot be read or written, or if others could read it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let token = match std::fs::read_to_string(path) {
            Ok(text) => {
                let mode = std::fs::metadata(path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(std::io::Error::other(format!(
                        "`{}` can be read by others (mode {:o}); remove it or `chmod 600` it",
                        path.display(),
                        mode & 0o777
                    )));
                }
                text.trim().to_owned()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let token = random_hex()?;
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?;
                file.write_all(token.as_bytes())?;
                token
            }
            Err(error) => return Err(error),
        };
        if token.len() < 32 {
            return Err(std::io::Error::other(format!(
                "`{}` holds no token; remove it",
                path.display()
            )));
        }
        let session = blake3::Hash::from(blake3::derive_key(
            "overdrive studio session v1",
            token.as_bytes(),
        ));
        Ok(Self {
            token,
            session: session.to_hex().to_string(),
            codes: Mutex::new(HashMap::new()),
        })
    }

    /// A new one-time code for a browser.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn code(&self) -> std::io::Result<String> {
        let code = random_hex()?;
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, made| made.elapsed() < CODE_LIFE);
        codes.insert(code.clone(), Instant::now());
        Ok(code)
    }

    /// Takes a one-time code back; the header that sets the cookie if it was good.
    pub(super) fn redeem(&self, code: &str) -> Option<HeaderValue> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, made| made.elapsed() < CODE_LIFE);
        codes.remove(code)?;
        HeaderValue::from_str(&format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000",
            self.session
        ))
        .ok()
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let bearer = text(header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| token.as_bytes().ct_eq(self.token.as_bytes()).into());
        let cookie = text(header::COOKIE).is_some_and(|cookies| {
            cookies
                .split(';')
                .filter_map(|pair| pair.trim().split_once('='))
                .any(|(name, value)| {
                    name == COOKIE && bool::from(value.as_bytes().ct_eq(self.session.as_bytes()))
                })
        });
        bearer || cookie
    }
}

/// 256 random bits as 64 hex digits.
fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(blake3::Hash::from(bytes).to_hex().to_string())
}

/// What the guard needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) access: Arc<Access>,
    pub(super) address: SocketAddr,
}

impl Guard {
    /// Exactly the names by which this server is meant: rebinding a foreign name to loopback does not pass.
    fn is_own_host(&self, host: &str) -> bool {
        let port = self.address.port();
        let mut names = vec![
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ];
        names.push(self.address.to_string());
        names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        let origin_is_own = match headers.get(header::ORIGIN) {
            None => true,
            Some(origin) => origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(|host| self.is_own_host(host)),
        };
        let site_is_own = match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            None => true,
            Some(site) => site == b"none" || site == b"same-origin",
        };
        origin_is_own && site_is_own
    }
}

/// Lets only allowed requests through, and puts the confining headers on every answer.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let path = request.uri().path();
    let refused = if !guard.is_own_host(host) {
        Some(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "the `Host` header names another server",
        ))
    } else if !guard.is_own_origin(headers) {
        Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "origin",
            "requests from other sites are refused",
        ))
    } else if path != "/login" && !guard.access.knows(headers) {
        Some(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token",
            "not signed in: open the address that `overdrive studio` prints, or send the token of `studio.token` as `Authorization: Bearer`",
        ))
    } else {
        None
    };
    let mut response = match refused {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
