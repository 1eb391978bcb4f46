//! What outlives the program: the resources that users make.
//!
//! [`Resources`] keeps them in one file of the data directory, or in memory only. One thread writes; all that was
//! ordered meanwhile goes with one sync, and is answered after it: what was acknowledged survives a crash, and many
//! writers at once cost little more than one. Readers read memory.

mod disk;
mod keeper;
mod resources;
mod shelf;

pub use disk::OpenError;
pub use resources::Resources;
