//! Which answers are compressed and how.
//!
//! The first of the literal tokens `gzip` and `deflate` in `Accept-Encoding` decides, as in the original; tokens with
//! weights do not count, upgrades are never compressed, and an empty body never says that it is (clients of the
//! original open a decompressor on that header alone).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT_ENCODING, UPGRADE, VARY};
use http::{HeaderMap, HeaderValue};

/// Reduces the client's wishes to the one that counts, for the compressing layer behind this one.
pub(crate) async fn choose(mut request: Request, next: Next) -> Response {
    let chosen = chosen(request.headers());
    let headers = request.headers_mut();
    headers.remove(ACCEPT_ENCODING);
    if let Some(encoding) = chosen {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn chosen(headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(UPGRADE) {
        return None;
    }
    headers
        .get_all(ACCEPT_ENCODING)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|token| match token.trim() {
            "gzip" => Some("gzip"),
            "deflate" => Some("deflate"),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_literal_token_counts() {
        for (accepted, chosen_one) in [
            ("gzip", Some("gzip")),
            ("br, deflate, gzip", Some("deflate")),
            ("gzip;q=1.0, deflate", Some("deflate")),
            ("gzip;q=0.5", None),
            ("identity", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(chosen(&headers), chosen_one, "{accepted}");
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            assert_eq!(chosen(&headers), None);
        }
    }
}
