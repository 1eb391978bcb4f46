//! Which analyzer gets the graph: the first that is connected, and on its loss a random other one.

use std::collections::BTreeMap;

use skydive_client::ServerIdentity;
use skydive_value::{Id, Timestamp};
use tokio::sync::watch;

/// The analyzers of this agent.
#[derive(Debug)]
pub(crate) struct Masters(watch::Sender<Connections>);

/// Who is connected, and who of them gets the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// Every configured analyzer by address; since when it is connected, or why it is not.
    pub(crate) analyzers: BTreeMap<String, Connection>,
    master: Option<String>,
}

/// How one analyzer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Not now, and why.
    Down(String),
    /// It is.
    Up {
        /// Since when.
        since: Timestamp,
        /// Who answered, where that was said.
        server: Option<ServerIdentity>,
    },
}

impl Masters {
    pub(crate) fn new(addresses: impl IntoIterator<Item = String>) -> Self {
        let down = |address| (address, Connection::Down("not connected yet".to_owned()));
        let analyzers = addresses.into_iter().map(down).collect();
        Self(watch::Sender::new(Connections { analyzers, master: None }))
    }

    pub(crate) fn up(&self, address: &str, server: Option<ServerIdentity>, now: Timestamp) {
        self.0.send_modify(|all| {
            all.analyzers.insert(address.to_owned(), Connection::Up { since: now, server });
            all.master.get_or_insert_with(|| address.to_owned());
        });
    }

    pub(crate) fn down(&self, address: &str, why: String) {
        self.0.send_modify(|all| {
            all.analyzers.insert(address.to_owned(), Connection::Down(why));
            if all.master.as_deref() == Some(address) {
                all.master = all.random_up();
            }
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Connections> {
        self.0.subscribe()
    }
}

impl Connections {
    pub(crate) fn is_master(&self, address: &str) -> bool {
        self.master.as_deref() == Some(address)
    }

    fn random_up(&self) -> Option<String> {
        let up: Vec<&String> = self
            .analyzers
            .iter()
            .filter(|(_, c)| matches!(c, Connection::Up { .. }))
            .map(|(a, _)| a)
            .collect();
        any(&up).map(|address| (*address).clone())
    }
}

/// A random one.
pub(crate) fn any<T>(of: &[T]) -> Option<&T> {
    // A random id is as good a die as any, and there already.
    let die = Id::random().with_str(|text| text.bytes().map(usize::from).sum::<usize>());
    of.get(die.checked_rem(of.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keeps_it_until_it_is_lost() {
        let masters = Masters::new(["a".to_owned(), "b".to_owned()]);
        let watch = masters.watch();
        assert!(!watch.borrow().is_master("a"));
        masters.up("b", None, Timestamp::EPOCH);
        masters.up("a", None, Timestamp::EPOCH);
        assert!(watch.borrow().is_master("b"));
        masters.down("b", "gone".to_owned());
        assert!(watch.borrow().is_master("a"));
        masters.down("a", "gone".to_owned());
        assert!(!watch.borrow().is_master("a") && !watch.borrow().is_master("b"));
    }
}
