//! Answers in the forms all endpoints share.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use skydive_proto::{Pieces, media};
use tokio::time::timeout;

use crate::router::Serving;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A refusal: plain text and a newline.
pub(crate) fn error(status: StatusCode, text: impl AsRef<str>) -> Response {
    let mut response = (status, format!("{}\n", text.as_ref())).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::TEXT));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// A status without body after which the connection ends.
pub(crate) fn closing(status: StatusCode) -> Response {
    let mut response = status.into_response();
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// A resource as JSON.
pub(crate) fn json(resource: &impl Serialize) -> Response {
    match serde_json::to_vec(resource) {
        Ok(body) => typed(HeaderValue::from_static(media::JSON), body),
        Err(fault) => error(StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()),
    }
}

/// A body with its content type.
pub(crate) fn typed(media: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

/// A text in pieces: one piece goes with its length, more are streamed as the client takes them.
pub(crate) fn pieces(media: HeaderValue, mut pieces: Pieces) -> Response {
    let first = pieces.next().unwrap_or_default();
    let body = match pieces.next() {
        None => Body::from(first),
        Some(second) => {
            let all = [first, second].into_iter().chain(pieces);
            Body::from_stream(stream::iter(all.map(Ok::<Bytes, std::convert::Infallible>)))
        }
    };
    typed(media, body)
}

/// The refusal of a body that makes no sense; counts it.
pub(crate) fn malformed(serving: &Serving, reason: &str) -> Response {
    serving.telemetry.malformed_body(reason);
    error(StatusCode::BAD_REQUEST, reason)
}

/// The refusal of a body that is too large; counts it.
pub(crate) fn too_large(max: usize, serving: &Serving) -> Response {
    serving.telemetry.oversized_body(max);
    let text = format!("request body exceeds the limit of {max} bytes");
    let mut response = error(StatusCode::PAYLOAD_TOO_LARGE, text);
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// The refusal of a body that does not come.
pub(crate) fn not_coming() -> Response {
    let mut response = error(StatusCode::REQUEST_TIMEOUT, "request body does not come");
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// Refuses a body that is announced as too large.
#[expect(clippy::result_large_err, reason = "the refusal is the answer, made once per request")]
pub(crate) fn admit_length(request: &Request, max: usize, serving: &Serving) -> Result<(), Response> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > max as u64) {
        return Err(too_large(max, serving));
    }
    Ok(())
}

/// The body of a request, or the refusal of one that is too large, breaks off or does not come.
pub(crate) async fn read_body(request: Request, max: usize, serving: &Serving) -> Result<Bytes, Response> {
    admit_length(&request, max, serving)?;
    let mut body = Limited::new(request.into_body(), max);
    let mut collected = BytesMut::new();
    loop {
        let Ok(frame) = timeout(serving.settings.progress, body.frame()).await else {
            return Err(not_coming());
        };
        match frame {
            None => return Ok(collected.freeze()),
            // Trailers say nothing here.
            Some(Ok(frame)) => collected.extend_from_slice(frame.data_ref().map_or(&[], |bytes| bytes)),
            Some(Err(fault)) if fault.is::<LengthLimitError>() => return Err(too_large(max, serving)),
            Some(Err(fault)) => {
                return Err(malformed(serving, &format!("request body breaks off: {fault}")));
            }
        }
    }
}
