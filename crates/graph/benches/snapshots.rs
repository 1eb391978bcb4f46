//! Which structure lets a graph hand out snapshots at the least price?
//!
//! The question that decided `docs/decisions/001-snapshots.md`: a million elements behind `Arc`, updated at random
//! places, a snapshot taken every 5,000 updates and dropped at the next (what 500,000 updates/s and a snapshot every
//! 10 ms amount to), against updates when no snapshot is held.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ELEMENTS: usize = 1_000_000;
const UPDATES: usize = 300_000;
const PER_SNAPSHOT: usize = 5_000;
const SAMPLES: usize = 5;

/// As heavy as a node: a header and a boxed slice of ten values.
#[derive(Clone)]
struct Element {
    revision: u64,
    _header: [u64; 12],
    _values: Box<[[u64; 3]]>,
}

trait Structure: Clone {
    fn build(elements: impl Iterator<Item = Arc<Element>>) -> Self;
    fn at_mut(&mut self, i: usize) -> &mut Arc<Element>;
}

#[derive(Clone)]
struct Flat<const CHUNK: usize>(Vec<Arc<Vec<Arc<Element>>>>);

#[derive(Clone)]
struct Tree<const CHUNK: usize, const TOUCH: bool>(Arc<Vec<Arc<Vec<Arc<Chunk<TOUCH>>>>>>);

struct Chunk<const TOUCH: bool>(Vec<Arc<Element>>);

const PAGE: usize = 64;

impl<const TOUCH: bool> Clone for Chunk<TOUCH> {
    fn clone(&self) -> Self {
        if TOUCH {
            black_box(self.0.iter().map(Arc::strong_count).sum::<usize>());
        }
        Self(self.0.clone())
    }
}

impl<const CHUNK: usize> Structure for Flat<CHUNK> {
    fn build(elements: impl Iterator<Item = Arc<Element>>) -> Self {
        let all: Vec<_> = elements.collect();
        Self(all.chunks(CHUNK).map(|c| Arc::new(c.to_vec())).collect())
    }

    fn at_mut(&mut self, i: usize) -> &mut Arc<Element> {
        &mut Arc::make_mut(&mut self.0[i / CHUNK])[i % CHUNK]
    }
}

impl<const CHUNK: usize, const TOUCH: bool> Structure for Tree<CHUNK, TOUCH> {
    fn build(elements: impl Iterator<Item = Arc<Element>>) -> Self {
        let all: Vec<_> = elements.collect();
        let chunks: Vec<_> = all.chunks(CHUNK).map(|c| Arc::new(Chunk(c.to_vec()))).collect();
        Self(Arc::new(chunks.chunks(PAGE).map(|p| Arc::new(p.to_vec())).collect()))
    }

    fn at_mut(&mut self, i: usize) -> &mut Arc<Element> {
        let page = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[i / (CHUNK * PAGE)]);
        &mut Arc::make_mut(&mut page[i / CHUNK % PAGE]).0[i % CHUNK]
    }
}

impl Structure for imbl::Vector<Arc<Element>> {
    fn build(elements: impl Iterator<Item = Arc<Element>>) -> Self {
        elements.collect()
    }

    fn at_mut(&mut self, i: usize) -> &mut Arc<Element> {
        &mut self[i]
    }
}

impl Structure for imbl::HashMap<u64, Arc<Element>> {
    fn build(elements: impl Iterator<Item = Arc<Element>>) -> Self {
        elements.enumerate().map(|(i, e)| (i as u64, e)).collect()
    }

    fn at_mut(&mut self, i: usize) -> &mut Arc<Element> {
        self.get_mut(&(i as u64)).unwrap()
    }
}

fn measure<S: Structure>(name: &str) {
    let element =
        || Arc::new(Element { revision: 0, _header: [0; 12], _values: vec![[0; 3]; 10].into_boxed_slice() });
    let mut now = S::build((0..ELEMENTS).map(|_| element()));
    let mut random = 1u64;
    let mut update = |now: &mut S| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Arc::make_mut(now.at_mut((random >> 33) as usize % ELEMENTS)).revision += 1;
    };
    let mut run = |with_snapshots: bool| -> Vec<f64> {
        (0..SAMPLES)
            .map(|_| {
                let mut held = None;
                let start = Instant::now();
                for i in 0..UPDATES {
                    if with_snapshots && i % PER_SNAPSHOT == 0 {
                        held = Some(now.clone());
                    }
                    update(&mut now);
                }
                let spent = start.elapsed();
                drop(held);
                spent.as_nanos() as f64 / UPDATES as f64
            })
            .collect()
    };
    let (alone, with) = (run(false), run(true));
    print_samples(name, "update, no snapshot", &alone);
    print_samples(name, "update, snapshot every 5,000", &with);
}

fn print_samples(who: &str, what: &str, samples: &[f64]) {
    let samples: Vec<String> = samples.iter().map(|s| format!("{s:.1}")).collect();
    println!(
        r#"perf: {{"name":"snapshot structure: {what}","who":"{who}","unit":"ns/op","samples":[{}],"bar":null,"better":"lower"}}"#,
        samples.join(",")
    );
}

fn main() {
    measure::<Tree<16, true>>("tree, chunks of 16, touched");
    measure::<Tree<32, true>>("tree, chunks of 32, touched");
    measure::<Tree<64, true>>("tree, chunks of 64, touched");
    measure::<Tree<32, false>>("tree, chunks of 32");
    measure::<Tree<64, false>>("tree, chunks of 64");
    measure::<Flat<32>>("flat, chunks of 32");
    measure::<Flat<256>>("flat, chunks of 256");
    measure::<imbl::Vector<Arc<Element>>>("imbl::Vector");
    measure::<imbl::HashMap<u64, Arc<Element>>>("imbl::HashMap");
}
