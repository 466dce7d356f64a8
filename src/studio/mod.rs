//! The studio: a web page and an API over the store, from the same binary.
//!
//! Reads rows, leaves requests for the controllers of sweeps, starts new ones as processes of their own; decides nothing itself.
//! Rules of access are in [`access`]: loopback, a token, exact `Host`, own `Origin`. Every route stands once, in [`route::ROUTES`],
//! from which the router, the API description (`/api/v1/openapi.json`) and the security tests are made. Killing the studio harms no sweep.

mod access;
mod assets;
mod check;
mod columns;
mod compute;
mod control;
mod density;
mod error;
mod files;
mod mlflow;
mod model;
mod openapi;
mod overview;
mod read;
mod route;
mod state;
mod stream;
mod submit;
mod table;

pub use access::Access;
pub use compute::{TargetField, TargetKind};
pub use route::{ROUTES, Route};
pub use state::{Settings, Studio};

use std::net::SocketAddr;

/// Serves the studio on `listener` until `shutdown` resolves.
///
/// # Errors
/// If the socket cannot be used.
pub async fn serve(
    studio: Studio,
    listener: tokio::net::TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let address: SocketAddr = listener.local_addr()?;
    let router = route::router(studio, address);
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}
