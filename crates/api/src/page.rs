//! `/`: the page and its files, embedded in the program.

use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};

use crate::respond;
use crate::route::Route;

/// A static file.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Its path, `/` for the page itself.
    pub path: &'static str,
    /// Its content type.
    pub media: &'static str,
    /// What it holds.
    pub content: &'static str,
}

/// The files of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page(pub &'static [PageFile]);

/// The page shows names from outside: nothing but its own script may run.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const FILES: &[PageFile] = &[
    PageFile { path: "/", media: "text/html; charset=utf-8", content: include_str!("../page/index.html") },
    PageFile {
        path: "/app.js",
        media: "text/javascript; charset=utf-8",
        content: include_str!("../page/app.js"),
    },
    PageFile {
        path: "/style.css",
        media: "text/css; charset=utf-8",
        content: include_str!("../page/style.css"),
    },
];

impl Page {
    /// The page that comes with this crate.
    pub const fn embedded() -> Self {
        Self(FILES)
    }
}

pub(crate) fn routes(page: Page) -> Vec<Route> {
    let route = |file: &'static PageFile| {
        let serve = move || async move {
            confined(respond::typed(HeaderValue::from_static(file.media), file.content))
        };
        Route::file(file.path, serve)
    };
    page.0.iter().map(route).collect()
}

/// A file of a page, which may run what comes from here and nothing else.
pub(crate) fn confined(mut file: Response) -> Response {
    let headers = file.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    file
}
