//! Many captures at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skydive_capture::FlowSearch;
use skydive_testnet::require_root;

use crate::rig::{Rig, counted};

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is looked at")]
fn two_hundred_captures_begin_and_end_together() {
    const CAPTURES: usize = 200;
    // Of a bar of two seconds on an idle machine.
    const LONGEST: Duration = Duration::from_secs(10);
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let started = std::time::Instant::now();
    let next = AtomicUsize::new(0);
    let captures: Vec<_> = std::thread::scope(|scope| {
        let begin = || {
            let mut captures = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < CAPTURES {
                captures.push(rig.begin(&rig.config("icmp")));
            }
            captures
        };
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let begun = started.elapsed();
    assert!(begun < LONGEST, "{begun:?}");
    rig.a.exec(&["ping", "-f", "-c20", "10.99.0.2"]).unwrap();
    for capture in &captures {
        assert_eq!(counted(capture, 40).counters.dropped_by_kernel, 0);
    }
    let found = rig.search(&FlowSearch::all());
    assert_eq!((found.tables, found.matched), (CAPTURES, CAPTURES as u64));
    let started = std::time::Instant::now();
    drop(captures);
    rig.told.until("a flow of each", |flows| flows.len() == CAPTURES);
    println!("{CAPTURES} captures of 4 MiB each: begun in {begun:?}, ended in {:?}", started.elapsed());
}
