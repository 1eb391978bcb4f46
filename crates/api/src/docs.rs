//! `/api/docs`: the REST API as a page to read and to try, which is Swagger UI.
//!
//! Its files come with the program, packed as they are sent (`docs/decisions/014-openapi.md`): nothing is loaded from
//! elsewhere, neither when the program is built nor by the browser, which is told so.

use std::io::Read;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::route::Route;
use crate::{page, respond};

/// A file of the page.
struct DocsFile {
    path: &'static str,
    media: &'static str,
    content: Content,
}

/// What a file holds.
#[derive(Clone, Copy)]
enum Content {
    Plain(&'static str),
    /// Packed by gzip.
    Packed(&'static [u8]),
}

const FILES: [DocsFile; 4] = [
    DocsFile {
        path: "/api/docs",
        media: "text/html; charset=utf-8",
        content: Content::Plain(include_str!("../docs/index.html")),
    },
    DocsFile {
        path: "/api/docs/start.js",
        media: "text/javascript; charset=utf-8",
        content: Content::Plain(include_str!("../docs/start.js")),
    },
    DocsFile {
        path: "/api/docs/swagger-ui-bundle.js",
        media: "text/javascript; charset=utf-8",
        content: Content::Packed(include_bytes!("../docs/swagger-ui-bundle.js.gz")),
    },
    DocsFile {
        path: "/api/docs/swagger-ui.css",
        media: "text/css; charset=utf-8",
        content: Content::Packed(include_bytes!("../docs/swagger-ui.css.gz")),
    },
];
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

pub(crate) fn routes() -> Vec<Route> {
    let route = |DocsFile { path, media, content }| {
        Route::file(path, move |headers: HeaderMap| async move { serve(media, content, &headers) })
    };
    FILES.into_iter().map(route).collect()
}

fn serve(media: &'static str, content: Content, asked: &HeaderMap) -> Response {
    let typed = |body: Bytes| page::confined(respond::typed(HeaderValue::from_static(media), body));
    match content {
        Content::Plain(text) => typed(Bytes::from_static(text.as_bytes())),
        // The compressing layer leaves alone what is packed.
        Content::Packed(packed) if asked.get(ACCEPT_ENCODING) == Some(&GZIP) => {
            let mut response = typed(Bytes::from_static(packed));
            response.headers_mut().insert(CONTENT_ENCODING, GZIP);
            response
        }
        Content::Packed(packed) => match unpack(packed) {
            Ok(body) => typed(body.into()),
            Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response(),
        },
    }
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_are_whole() {
        for file in FILES {
            if let Content::Packed(packed) = file.content {
                assert!(unpack(packed).unwrap().len() > packed.len(), "{}", file.path);
            }
        }
    }
}
