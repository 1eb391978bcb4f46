//! A byte stream that knows what went through it.
//!
//! A message says that a peer is alive only when all of it is there; on a slow link, or within a large message, its
//! bytes say so long before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts the bytes of the stream inside.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    read: u64,
    written: u64,
    writing: Writing,
}

/// What a failed write means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// The end of the stream.
    Ends,
    /// Nothing: what was received is still to be read, and its end is the end of the stream.
    Tried,
    /// The same, and it has failed.
    Failed,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: 0, written: 0, writing: Writing::Ends }
    }

    /// From now on the stream ends when there is nothing more to read. A failed write does not end it: a peer that has
    /// gone still has sent what it sent.
    pub(crate) fn read_to_the_end(&mut self) {
        self.writing = Writing::Tried;
    }

    /// What becomes of a write or flush; a failed one may pass for done.
    fn settle<T>(&mut self, polled: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(_)) if self.writing != Writing::Ends => {
                self.writing = Writing::Failed;
                Poll::Ready(Ok(done))
            }
            polled => polled,
        }
    }

    /// Bytes received so far.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Bytes taken by the system so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, room);
        self.read += (room.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Failed {
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = polled {
            self.written += n as u64;
        }
        self.settle(polled, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing == Writing::Failed {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.settle(polled, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
