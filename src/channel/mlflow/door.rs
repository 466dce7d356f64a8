//! Accepting connections: the one that the thread was started for, then others; each with a number, and known while it is open.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// More connections than this at a time are turned away.
const CONNECTIONS_MAX: usize = 256;

/// Number of a connection. A client process keeps its connection, so that two live numbers mean two processes or threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(pub(super) u64);

/// Which connections are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Arc<Mutex<HashSet<u64>>>);

impl Live {
    /// Whether a connection is open.
    pub(super) fn holds(&self, peer: Peer) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&peer.0)
    }

    fn enter(&self, number: u64) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.len() < CONNECTIONS_MAX && open.insert(number)
    }
}

/// An open connection.
pub(super) struct Stream {
    inner: TcpStream,
    number: u64,
    live: Live,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.live
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The listener.
pub(super) struct Door {
    listener: TcpListener,
    first: Option<TcpStream>,
    live: Live,
    next: u64,
}

impl Door {
    /// A listener that gives `first` before all others.
    pub(super) fn new(listener: TcpListener, first: Option<TcpStream>, live: Live) -> Self {
        Self {
            listener,
            first,
            live,
            next: 0,
        }
    }
}

impl Listener for Door {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            let accepted = match self.first.take() {
                Some(stream) => Ok(stream),
                None => self.listener.accept().await.map(|(stream, _)| stream),
            };
            let Ok(inner) = accepted else {
                // Out of descriptors, most likely.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            // Small answers must not wait for the next packet; a socket that refuses the option works all the same.
            let _ = inner.set_nodelay(true);
            self.next += 1;
            if self.live.enter(self.next) {
                return (
                    Stream {
                        inner,
                        number: self.next,
                        live: self.live.clone(),
                    },
                    Peer(self.next),
                );
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer(0))
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        *stream.remote_addr()
    }
}
