//! Blobs by digest: GET and HEAD with one range, ETag, If-Range, If-None-Match; PUT with a token.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::TryStreamExt as _;
use protocol::id::Digest;

use super::{Api, ApiError};

pub(super) fn router() -> Router<Api> {
    // No limit here: the store streams, and counts by itself.
    Router::new()
        .route("/blobs/sha256/{hex}", get(read).put(write))
        .layer(DefaultBodyLimit::disable())
}

async fn read(
    State(api): State<Api>,
    Path(hex): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest = digest(&hex)?;
    let tag = format!("\"{}\"", digest.as_str());
    let Some(size) = api.blobs.size(&digest).await? else {
        return Err(ApiError::NotFound(format!("blob {digest} is not in the store")));
    };
    let answer = Response::builder()
        .header(header::ETAG, &tag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    let answer = match select(&headers, &tag, size) {
        Selection::NotModified => answer.status(StatusCode::NOT_MODIFIED).body(Body::empty()),
        Selection::Unsatisfiable => answer
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{size}"))
            .body(Body::empty()),
        Selection::Part(first, end) => {
            let answer = answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, end - first)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1));
            answer.body(body(&api, &digest, &method, Some(first..end)).await?)
        }
        Selection::Whole => {
            let answer = answer
                .status(StatusCode::OK)
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, size);
            answer.body(body(&api, &digest, &method, None).await?)
        }
    };
    answer.map_err(|e| ApiError::BadRequest(e.to_string()))
}

async fn body(
    api: &Api,
    digest: &Digest,
    method: &Method,
    range: Option<std::ops::Range<u64>>,
) -> Result<Body, ApiError> {
    if method == Method::HEAD || range.as_ref().is_some_and(std::ops::Range::is_empty) {
        return Ok(Body::empty());
    }
    let read = api.blobs.get_range(digest, range).await?;
    Ok(Body::from_stream(read.stream))
}

async fn write(
    State(api): State<Api>,
    Path(hex): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let digest = digest(&hex)?;
    allowed(api.config.upload_token.as_deref(), &headers)?;
    let source = request.into_body().into_data_stream().map_err(|e| e.to_string());
    api.blobs
        .put_stream(source, api.config.max_blob, Some(&digest))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn allowed(token: Option<&str>, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = token else {
        return Err(ApiError::Forbidden(
            "uploads are off: the operator was started without an upload token".into(),
        ));
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    // Digests are compared, so that the time taken tells nothing of the token.
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(|value| Digest::of(value.as_bytes()));
    if given == Some(Digest::of(token.as_bytes())) {
        Ok(())
    } else {
        Err(ApiError::Unauthorized(
            "uploads need `Authorization: Bearer TOKEN` with the upload token".into(),
        ))
    }
}

fn digest(hex: &str) -> Result<Digest, ApiError> {
    hex.parse().map_err(|e| ApiError::BadRequest(format!("{e}")))
}

#[derive(Debug, PartialEq, Eq)]
enum Selection {
    Whole,
    /// First byte, and the one behind the last.
    Part(u64, u64),
    NotModified,
    Unsatisfiable,
}

/// Which bytes a request asks for. Several ranges, other units and malformed ones get the whole, as HTTP allows.
fn select(headers: &HeaderMap, tag: &str, size: u64) -> Selection {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.split(',').any(|t| t.trim() == tag))
    {
        return Selection::NotModified;
    }
    if text(header::IF_RANGE).is_some_and(|wanted| wanted != tag) {
        return Selection::Whole;
    }
    let range = text(header::RANGE).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return Selection::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok())?
    };
    match (first, last) {
        ("", last) => match number(last) {
            None => Selection::Whole,
            Some(0) => Selection::Unsatisfiable,
            Some(_) if size == 0 => Selection::Unsatisfiable,
            Some(count) => Selection::Part(size.saturating_sub(count), size),
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), _) if first >= size => Selection::Unsatisfiable,
            (Some(first), None) if last.is_empty() => Selection::Part(first, size),
            (Some(first), Some(last)) if first <= last => Selection::Part(first, (last + 1).min(size)),
            _ => Selection::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(lines: &[(header::HeaderName, &str)]) -> Selection {
        let headers = lines
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        select(&headers, "\"abc\"", 100)
    }

    #[test]
    fn one_range_is_served_and_what_is_unclear_is_whole() {
        for (range, expected) in [
            ("bytes=0-9", Selection::Part(0, 10)),
            ("bytes=90-", Selection::Part(90, 100)),
            ("bytes=90-1000", Selection::Part(90, 100)),
            ("bytes=-10", Selection::Part(90, 100)),
            ("bytes=-1000", Selection::Part(0, 100)),
            ("bytes=100-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=9-0", Selection::Whole),
            ("bytes=0-1,5-6", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("lines=1-2", Selection::Whole),
        ] {
            assert_eq!(selected(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_changed_file_is_never_resumed() {
        let range = (header::RANGE, "bytes=5-");
        assert_eq!(
            selected(&[range.clone(), (header::IF_RANGE, "\"abc\"")]),
            Selection::Part(5, 100)
        );
        assert_eq!(
            selected(&[range.clone(), (header::IF_RANGE, "\"old\"")]),
            Selection::Whole
        );
        assert_eq!(
            selected(&[range, (header::IF_NONE_MATCH, "\"x\", \"abc\"")]),
            Selection::NotModified
        );
    }
}
