//! A TCP stream that knows when it last received and how much it took.
//!
//! A large message on a slow link arrives for a long time before it is there: its bytes show that the server lives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) tcp: TcpStream,
    /// When the last bytes were received.
    pub(crate) heard_at: Instant,
    /// Bytes taken by the system so far.
    pub(crate) written: u64,
}

impl Watched {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, heard_at: Instant::now(), written: 0 }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, room);
        if room.filled().len() > before {
            self.heard_at = Instant::now();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = polled {
            self.written += n as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
