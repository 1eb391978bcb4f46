//! Capture files sent over TCP, played as if they were captured now.
//!
//! A connection sends a file of either format. Its packets are counted when they are due: the first at once, the others
//! with the same time between them as in the file, all with the time of now. A file that is sent faster than it is played
//! waits in the connection.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::event::epoll::{self, EventData, EventFlags};
use skydive_sys::Namespaces;

use self::connection::{Connection, Playing};
use crate::definition::{CaptureDef, Opened, Options};
use crate::filters::Filters;
use crate::source::{Sink, Source, Watch};
use crate::{CaptureConfig, StartError};

mod connection;

pub(crate) const DEF: CaptureDef = CaptureDef {
    name: "pcapsocket",
    about: "capture files sent to a TCP port, played as they were captured",
    options: Options { filter: true, raw_packets: true, tcp_metric: true, several_per_node: false },
    open,
};

/// A port that takes capture files.
#[derive(Debug)]
pub(crate) struct SocketSource {
    listener: TcpListener,
    connections: [Option<Connection>; CONNECTIONS],
    filters: Filters,
}

/// Connections at a time. Others wait until one of these has ended.
const CONNECTIONS: usize = 8;
/// The listener's part of the source; connections come behind it.
const LISTENER: u32 = 0;

fn open(config: &CaptureConfig, _: &Namespaces) -> Result<Opened, StartError> {
    let filters = Filters::new(&config.filter)?;
    let (address, first, last) =
        (config.listen.address, *config.listen.ports.start(), *config.listen.ports.end());
    let refused = |source| StartError::Listen { address, first, last, source };
    let mut why: io::Error = io::ErrorKind::AddrNotAvailable.into();
    for port in config.listen.ports.clone() {
        match TcpListener::bind(SocketAddr::new(address, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true).map_err(refused)?;
                let at = listener.local_addr().map_err(refused)?;
                let source = SocketSource { listener, connections: Default::default(), filters };
                return Ok(Opened { sources: vec![Source::Socket(source)], listens_at: Some(at) });
            }
            Err(error) => why = error,
        }
    }
    Err(refused(why))
}

impl SocketSource {
    pub(crate) fn begin(&self, watch: &Watch<'_>) -> io::Result<()> {
        Ok(epoll::add(watch.epoll, &self.listener, EventData::new_u64(watch.token(LISTENER)), LISTENING)?)
    }

    /// Takes a connection, or what one of them sent.
    pub(crate) fn read(&mut self, part: u32, now: i64, watch: &Watch<'_>, sink: &mut Sink<'_>) {
        if part == LISTENER {
            self.accept(watch);
            return;
        }
        let at = part as usize - 1;
        if let Some(Some(connection)) = self.connections.get_mut(at) {
            let playing = connection.read(now, &mut self.filters, sink);
            self.go_on(at, playing, watch);
        }
    }

    fn accept(&mut self, watch: &Watch<'_>) {
        let Some((slot, part)) = self.connections.iter_mut().zip(1..).find(|(slot, _)| slot.is_none()) else {
            return;
        };
        if let Ok((stream, _)) = self.listener.accept()
            && stream.set_nonblocking(true).is_ok()
            && epoll::add(watch.epoll, &stream, EventData::new_u64(watch.token(part)), WANTED).is_ok()
        {
            *slot = Some(Connection::new(stream));
        }
        // Others wait in the listener's queue while all places are taken.
        if self.connections.iter().any(Option::is_none) {
            self.listen_on(watch);
        }
    }

    /// The listener tells of one connection at a time.
    fn listen_on(&self, watch: &Watch<'_>) {
        let data = EventData::new_u64(watch.token(LISTENER));
        let _ = epoll::modify(watch.epoll, &self.listener, data, LISTENING);
    }

    fn go_on(&mut self, at: usize, playing: Playing, watch: &Watch<'_>) {
        let Some(slot) = self.connections.get_mut(at) else { return };
        let Some(connection) = slot else { return };
        match playing {
            Playing::Waits => {}
            Playing::Hungry => {
                let data = EventData::new_u64(watch.token(at as u32 + 1));
                let _ = epoll::modify(watch.epoll, connection.stream(), data, WANTED);
            }
            Playing::Ended => {
                let _ = epoll::delete(watch.epoll, connection.stream());
                *slot = None;
                self.listen_on(watch);
            }
        }
    }

    pub(crate) fn due(&self) -> Option<i64> {
        self.connections.iter().flatten().filter_map(Connection::due).min()
    }

    pub(crate) fn play(&mut self, now: i64, watch: &Watch<'_>, sink: &mut Sink<'_>) {
        for at in 0..CONNECTIONS {
            if let Some(Some(connection)) = self.connections.get_mut(at)
                && connection.due().is_some_and(|due| due <= now)
            {
                let playing = connection.play(now, &mut self.filters, sink);
                self.go_on(at, playing, watch);
            }
        }
    }

    /// Closes everything.
    pub(crate) fn shut(&mut self, watch: &Watch<'_>) {
        let _ = epoll::delete(watch.epoll, &self.listener);
        for connection in self.connections.iter_mut().filter_map(Option::take) {
            let _ = epoll::delete(watch.epoll, connection.stream());
        }
    }
}

/// Told of once, and again when asked for: what is not wanted yet must not wake anybody.
const WANTED: EventFlags = EventFlags::IN.union(EventFlags::ONESHOT);
const LISTENING: EventFlags = WANTED;
