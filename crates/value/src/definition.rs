//! Metadata written on one line: `k1=v1, a.b="v2"`.

use smol_str::SmolStr;
use thiserror::Error;

use crate::{Map, Path};

/// A pair that is not `key=value`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("attributes must be defined by pair k=v: {0}")]
pub struct DefinitionError(pub SmolStr);

/// Reads pairs separated by commas. Spaces around a pair are dropped, those around `=` are kept, double quotes
/// around key or value are trimmed, dots in keys nest, every value is text.
pub fn parse_definition(text: &str) -> Result<Map, DefinitionError> {
    let mut map = Map::new();
    if text.is_empty() {
        return Ok(map);
    }
    for pair in text.split(',') {
        let pair = pair.trim();
        let mut parts = pair.split('=');
        let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(DefinitionError(pair.into()));
        };
        let path = Path::parse(key.trim_matches('"'));
        map.set_path(&path, value.trim_matches('"'));
    }
    Ok(map)
}
