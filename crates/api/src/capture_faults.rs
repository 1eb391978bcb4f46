//! Why captures do not run where they are wanted, as whoever begins them knows it.

use std::collections::HashMap;
use std::sync::Arc;

use skydive_value::SmolStr;
use tokio::sync::watch;

/// What is wrong with captures, by their id. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct CaptureFaults(Arc<watch::Sender<HashMap<SmolStr, String>>>);

impl CaptureFaults {
    /// Says what is wrong with all captures from now on.
    pub fn replace(&self, faults: HashMap<SmolStr, String>) {
        self.0.send_if_modified(|known| {
            let is_news = *known != faults;
            *known = faults;
            is_news
        });
    }

    /// Waits until they are as wanted.
    pub async fn until(&self, wanted: impl Fn(&HashMap<SmolStr, String>) -> bool) {
        // The sender is held by this very value.
        let _ = self.0.subscribe().wait_for(wanted).await;
    }

    /// What is wrong with one.
    pub fn of(&self, id: &str) -> Option<String> {
        self.0.borrow().get(id).cloned()
    }
}
