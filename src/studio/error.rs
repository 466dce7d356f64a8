//! One shape for every refusal: `{"error": {"code", "message"}}` with a fitting status.

use crate::store::StoreError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// The body of a refusal.
#[derive(Serialize, JsonSchema)]
pub(super) struct Error {
    error: Reason,
}

/// Why something was refused.
#[derive(Serialize, JsonSchema)]
struct Reason {
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
}

/// A refusal.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotFound(_) | StoreError::NoTrial { .. } | StoreError::Missing(_) => {
                (StatusCode::NOT_FOUND, "not-found")
            }
            StoreError::Ambiguous { .. } => (StatusCode::CONFLICT, "ambiguous"),
            StoreError::Busy(_) | StoreError::Held { .. } => (StatusCode::CONFLICT, "busy"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = Reason {
            code: self.code,
            message: self.message,
        };
        (self.status, Json(Error { error })).into_response()
    }
}
