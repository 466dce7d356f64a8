//! The page: built assets, embedded in the binary, and the door for browsers.

use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/studio/dist/assets.rs"));

#[derive(Deserialize)]
pub(super) struct LoginQuery {
    code: Option<String>,
}

/// Trades a one-time code for the cookie and goes to the page.
pub(super) async fn login(State(studio): State<Studio>, Query(query): Query<LoginQuery>) -> Response {
    match query.code.and_then(|code| studio.access.redeem(&code)) {
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
pub(super) async fn page(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return crate::studio::error::ApiError::not_found(format!("no route `/{path}`")).into_response();
    }
    let found = ASSETS.iter().find(|asset| asset.0 == path);
    let is_page = found.is_none();
    let Some((_, kind, bytes)) = found.or_else(|| ASSETS.iter().find(|asset| asset.0 == "index.html")) else {
        return (StatusCode::NOT_FOUND, "no page").into_response();
    };
    let cache = if is_page || path == "index.html" {
        "no-cache"
    } else {
        "public, max-age=31536000, immutable"
    };
    let mut response = (*bytes).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
