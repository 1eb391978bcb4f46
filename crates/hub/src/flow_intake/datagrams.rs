//! Flows as datagrams: the socket beside the listener of the API.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::FlowIntake;

/// The socket that datagrams come to.
#[derive(Debug)]
pub(crate) struct Datagrams(UdpSocket);

/// Bytes that the kernel may keep for us, so that an agent that tells of all its flows at once loses none. Without
/// privilege the system grants less.
const ROOM: usize = 16 << 20;
/// Longest datagram.
const LONGEST: usize = 65_536;
/// Datagrams taken between two looks at what else is to do.
const BURST: usize = 64;
/// Pause after an error that is no datagram's fault.
const PAUSE: Duration = Duration::from_millis(100);

impl Datagrams {
    /// Listens on an address.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let granted = sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, ROOM));
        if let Err(error) = granted {
            tracing::debug!(%error, "datagrams have the room that the system gives");
        }
        Ok(Self(socket))
    }

    /// Where they come to.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Gives datagrams to `intake` until `stop`.
    pub(crate) async fn receive(self, intake: FlowIntake, stop: CancellationToken) {
        let mut room = vec![0; LONGEST];
        loop {
            let readable = tokio::select! {
                readable = self.0.readable() => readable,
                () = stop.cancelled() => return,
            };
            let burst = readable.and_then(|()| self.burst(&mut room, &intake));
            if let Err(error) = burst {
                tracing::warn!(%error, "datagrams of flows cannot be received");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn burst(&self, room: &mut [u8], intake: &FlowIntake) -> io::Result<()> {
        for _ in 0..BURST {
            match self.0.try_recv(room) {
                Ok(len) => intake.take(room.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
