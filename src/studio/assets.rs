//! The page: built assets, embedded in the binary, and the door for browsers.

use crate::studio::access::Way;
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/studio/dist/assets.rs"));

/// A built file, as it is and packed.
struct Asset {
    path: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    br: &'static [u8],
    gz: &'static [u8],
}

impl Asset {
    /// The form that the browser takes, and its name; the smallest first.
    fn packed(&self, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
        let accepted = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let takes = |name: &str| {
            accepted.split(',').any(|part| {
                let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
                let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
                coding.trim().eq_ignore_ascii_case(name) && !refused
            })
        };
        if takes("br") && self.br.len() < self.plain.len() {
            (self.br, Some("br"))
        } else if takes("gzip") && self.gz.len() < self.plain.len() {
            (self.gz, Some("gzip"))
        } else {
            (self.plain, None)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LoginQuery {
    code: Option<String>,
}

/// Trades a one-time code for the cookie and goes to the page.
pub(super) async fn login(
    State(studio): State<Studio>,
    Extension(way): Extension<Way>,
    Query(query): Query<LoginQuery>,
) -> Response {
    match query.code.and_then(|code| studio.access.redeem(&code, way)) {
        Some(cookie) => {
            let mut response = Redirect::to("/").into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        None => (
            StatusCode::UNAUTHORIZED,
            "this link was used before or is older than a minute: run `overdrive studio --link` for a new one\n",
        )
            .into_response(),
    }
}

/// A one-time code.
#[derive(Serialize, JsonSchema)]
pub(super) struct Link {
    schema_version: u32,
    /// Good once, for a minute, as `/login?code=`.
    code: String,
}

/// A new one-time code, for `overdrive studio --link`.
pub(super) async fn link(State(studio): State<Studio>) -> Answer<Link> {
    let code = studio
        .access
        .code()
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(Link {
        schema_version: SCHEMA_VERSION,
        code,
    }))
}

/// An asset by its path; every other path is a view of the one page.
pub(super) async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return ApiError::not_found(format!("no route `/{path}`")).into_response();
    }
    let found = ASSETS.iter().find(|asset| asset.path == path);
    let is_page = found.is_none();
    let Some(asset) = found.or_else(|| ASSETS.iter().find(|asset| asset.path == "index.html")) else {
        return (StatusCode::NOT_FOUND, "no page").into_response();
    };
    let cache = if is_page || path == "index.html" {
        "no-cache"
    } else {
        "public, max-age=31536000, immutable"
    };
    let (bytes, coding) = asset.packed(&headers);
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}
