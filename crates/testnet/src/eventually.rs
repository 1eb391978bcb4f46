//! Waiting for a condition with a deadline, for the places that give no event to wait on.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often the condition is looked at: short against every deadline, long against a look.
const PERIOD: Duration = Duration::from_millis(5);

/// Calls `look` until it returns a value, at least once; an error that names `what` after `deadline`.
#[expect(clippy::disallowed_methods, reason = "the one place of the tests that polls, with a deadline")]
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return Ok(value);
        }
        if start.elapsed() >= deadline {
            bail!("still waiting for {what} after {deadline:?}");
        }
        std::thread::sleep(PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_value_and_names_what_is_missing() {
        let mut looks = 0;
        let value = eventually("three looks", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value.unwrap(), 3);
        let error = eventually("godot", Duration::ZERO, || None::<()>).unwrap_err();
        assert!(error.to_string().contains("godot"));
    }
}
