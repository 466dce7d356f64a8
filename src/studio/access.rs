//! Who may talk to the studio: token, cookie, `Host`, `Origin`, and the headers that confine the page.
//!
//! The token (256 bits) lies in a file of mode 0600 in the state folder. Programs send it as `Authorization: Bearer`. A browser gets in by a one-time
//! code (60 s) in the address that `overdrive studio` prints, and then holds a cookie (`HttpOnly; SameSite=Strict`, over TLS `Secure` too) that is derived
//! from the token and therefore survives a restart. A code is sealed with the token for one start of the studio, so that whoever may read the token
//! can make one without asking; the studio remembers those that were used. Checks hold for every route and method alike.

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
use std::time::{Duration, SystemTime};
use subtle::ConstantTimeEq;

/// Name of the cookie.
const COOKIE: &str = "overdrive_session";
/// Its name where everything is encrypted: a browser takes one of this name only with `Secure`, and from this very host.
const COOKIE_ENCRYPTED: &str = "__Host-overdrive_session";

/// How a request came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Readable on its way, where there is one.
    Plain,
    /// Over TLS.
    Encrypted,
}

impl Way {
    fn cookie(self) -> &'static str {
        match self {
            Self::Plain => COOKIE,
            Self::Encrypted => COOKIE_ENCRYPTED,
        }
    }
}

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
    /// Key of one-time codes.
    seal: [u8; 32],
    /// This start of the studio: its codes are no good at the next one.
    instance: String,
    /// Codes that were used, until they would be too old anyway.
    used: Mutex<HashMap<String, u64>>,
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
            session: session.to_hex().to_string(),
            seal: blake3::derive_key("overdrive studio sign-in code v1", token.as_bytes()),
            token,
            instance: random_hex()?,
            used: Mutex::new(HashMap::new()),
        })
    }

    /// The name of this start of the studio, for [`Access::code_for`].
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// A new one-time code for a browser.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn code(&self) -> std::io::Result<String> {
        self.code_for(&self.instance)
    }

    /// A one-time code for a studio that runs in another process with the same token, and needs not be asked for it.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn code_for(&self, instance: &str) -> std::io::Result<String> {
        let until = now() + CODE_LIFE.as_secs();
        let body = format!("{until:x}-{}", random_hex()?);
        let seal = self.sealed(instance, &body);
        Ok(format!("{body}-{seal}"))
    }

    fn sealed(&self, instance: &str, body: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.seal, format!("{instance}-{body}").as_bytes())
    }

    /// Takes a one-time code back; the header that sets the cookie if it was good.
    pub(super) fn redeem(&self, code: &str, way: Way) -> Option<HeaderValue> {
        let (body, seal) = code.rsplit_once('-')?;
        // Comparing hashes takes the same time whatever they are.
        if blake3::Hash::from_hex(seal).ok()? != self.sealed(&self.instance, body) {
            return None;
        }
        let until = u64::from_str_radix(body.split_once('-')?.0, 16).ok()?;
        let now = now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until >= now);
        if until < now || used.insert(body.to_owned(), until).is_some() {
            return None;
        }
        HeaderValue::from_str(&format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000{}",
            way.cookie(),
            self.session,
            if way == Way::Encrypted { "; Secure" } else { "" }
        ))
        .ok()
    }

    fn knows(&self, headers: &HeaderMap, way: Way) -> bool {
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
                    name == way.cookie() && bool::from(value.as_bytes().ct_eq(self.session.as_bytes()))
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

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Names for this computer that nobody else can have.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The names by which a server is meant.
pub(super) struct Names {
    way: Way,
    /// Hosts with their ports; none behind a socket, where the port is that of whoever passes it on.
    hosts: Option<Vec<String>>,
}

impl Names {
    /// At an address; `more` are `NAME` (of the same port) or `NAME:PORT`.
    pub(super) fn at(address: SocketAddr, encrypted: bool, more: &[String]) -> Self {
        let port = address.port();
        // Browsers leave the usual port out.
        let usual = port == if encrypted { 443 } else { 80 };
        let mut hosts = vec![address.to_string()];
        let own = match address {
            SocketAddr::V4(four) => four.ip().to_string(),
            SocketAddr::V6(six) => format!("[{}]", six.ip()),
        };
        for name in LOOPBACK
            .into_iter()
            .chain([own.as_str()])
            .chain(more.iter().map(String::as_str))
        {
            let has_port = name
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if has_port || usual {
                hosts.push(name.to_owned());
            }
            if !has_port {
                hosts.push(format!("{name}:{port}"));
            }
        }
        let way = if encrypted { Way::Encrypted } else { Way::Plain };
        Self {
            way,
            hosts: Some(hosts),
        }
    }

    /// Behind a socket that somebody forwards a port of their own to.
    pub(super) fn behind_a_socket() -> Self {
        Self {
            way: Way::Plain,
            hosts: None,
        }
    }

    /// Whether this server is meant: rebinding a foreign name to loopback does not pass.
    fn is_own_host(&self, host: &str) -> bool {
        match &self.hosts {
            Some(hosts) => hosts.iter().any(|name| name.eq_ignore_ascii_case(host)),
            None => {
                let name = match host.rsplit_once(':') {
                    Some((name, port)) if port.parse::<u16>().is_ok() => name,
                    _ => host,
                };
                LOOPBACK.iter().any(|own| own.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// What the guard needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) access: Arc<Access>,
    pub(super) names: Arc<Names>,
}

impl Guard {
    /// Whether the page that asks, if one does, was served under the very name that it asks.
    fn is_own_origin(&self, headers: &HeaderMap, host: &str) -> bool {
        let scheme = match self.names.way {
            Way::Plain => "http://",
            Way::Encrypted => "https://",
        };
        let origin_is_own = match headers.get(header::ORIGIN) {
            None => true,
            Some(origin) => origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix(scheme))
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host)),
        };
        let site_is_own = match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            None => true,
            Some(site) => site == b"none" || site == b"same-origin",
        };
        origin_is_own && site_is_own
    }
}

/// Lets only allowed requests through, and puts the confining headers on every answer.
pub(super) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let way = guard.names.way;
    request.extensions_mut().insert(way);
    let headers = request.headers();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let path = request.uri().path();
    let refused = if !guard.names.is_own_host(host) {
        Some(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "the `Host` header names another server",
        ))
    } else if !guard.is_own_origin(headers, host) {
        Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "origin",
            "requests from other sites are refused",
        ))
    } else if path != "/login" && !guard.access.knows(headers, way) {
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
