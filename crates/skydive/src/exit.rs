//! Exit codes of the binary, all of them.

/// Everything went as asked, warnings included.
pub(crate) const OK: u8 = 0;

/// Something failed; the reason is on standard error. The original used this for wrong usage too.
pub(crate) const FAILURE: u8 = 1;

/// A second interrupt ended the process before it had stopped in order (128 + SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;
