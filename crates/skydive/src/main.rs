//! skydive.
fn main() {}
