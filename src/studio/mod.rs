//! The studio: a web page and an API over the store, from the same binary.
//!
//! Reads rows, leaves requests for the controllers of sweeps, starts new ones as processes of their own; decides nothing itself.
//! Rules of access are in [`access`]: loopback, a private socket or TLS; a token, exact `Host`, own `Origin`. Every route stands once, in [`route::ROUTES`],
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
mod tls;

pub use access::Access;
pub use compute::{TargetField, TargetKind};
pub use route::{ROUTES, Route};
pub use state::{Prices, Settings, Studio};
pub use tls::Certificate;

use access::Names;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UnixListener};

/// Where a studio listens.
pub enum Door {
    /// Plain HTTP: for the loopback.
    Plain(TcpListener),
    /// HTTP over TLS.
    Encrypted(TcpListener, Certificate),
    /// Plain HTTP over a socket in the file system, whose mode says who may connect.
    Socket(UnixListener),
}

/// Serves the studio at `door` until `shutdown` resolves. `names` (`NAME` or `NAME:PORT`) are further names by which it is meant.
///
/// # Errors
/// If the socket cannot be used.
pub async fn serve(
    studio: Studio,
    door: Door,
    names: &[String],
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    match door {
        Door::Plain(listener) => {
            let address: SocketAddr = listener.local_addr()?;
            let router = route::router(studio, Names::at(address, false, names));
            axum::serve(listener, router)
                .with_graceful_shutdown(shutdown)
                .await
        }
        Door::Encrypted(listener, certificate) => {
            let address: SocketAddr = listener.local_addr()?;
            let router = route::router(studio, Names::at(address, true, names));
            axum::serve(tls::Encrypted::new(listener, &certificate)?, router)
                .with_graceful_shutdown(shutdown)
                .await
        }
        Door::Socket(listener) => {
            let router = route::router(studio, Names::behind_a_socket());
            axum::serve(listener, router)
                .with_graceful_shutdown(shutdown)
                .await
        }
    }
}
