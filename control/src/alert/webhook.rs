//! Posting a message (RFC 9110): one connection for each, because there is rarely a second.

use std::rc::Rc;
use std::time::Duration;

use config::model::Webhook;
use engine::{Call, Plane};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{
    CONTENT_TYPE, HOST, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::dial::dial;
use super::outlet::{Outlet, Sender};
use super::queue::Refused;

/// A message, and what makes it this one and no other.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) key: String,
    pub(super) body: String,
}

/// The way to a webhook.
pub(super) fn outlet(plane: &Rc<Plane>, name: &str, webhook: &Webhook) -> Rc<Sender<Post>> {
    let outlet = Outlet::new("webhook", name, webhook.url.authority());
    let (own, webhook) = (Rc::clone(plane), webhook.clone());
    Sender::start(plane, outlet, async move |post: &Post| {
        match timeout(webhook.timeout, deliver(&own, &webhook, post)).await {
            Ok(done) => done,
            Err(_) => Err(Refused::for_now("no answer in time")),
        }
    })
}

async fn deliver(plane: &Plane, webhook: &Webhook, post: &Post) -> Result<(), Refused> {
    let begun = Instant::now();
    let url = &webhook.url;
    let called = dial(&url.host, url.port, webhook.known, webhook.timeout).await;
    let mut call = called.map_err(Refused::for_now)?;
    if let Some(tls) = &webhook.tls {
        let secured = call.secure(&plane.topology().tls, tls).await;
        secured.map_err(Refused::for_now)?;
    }
    let request = request(webhook, post).map_err(|why| Refused {
        forever: true,
        ..Refused::for_now(format!("the request cannot be written: {why}"))
    })?;
    let (status, headers) = exchange(call, request).await.map_err(|why| {
        Refused::for_now(format!("{why} after {}ms", begun.elapsed().as_millis()))
    })?;
    judge(status, &headers)
}

fn request(webhook: &Webhook, post: &Post) -> Result<Request<Full<Bytes>>, String> {
    let words = |error: InvalidHeaderValue| error.to_string();
    let body = Full::new(Bytes::from(post.body.clone()));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    let target = webhook.url.path.parse();
    *request.uri_mut() = target.map_err(|_| "the path of the URL is not one".to_owned())?;
    let headers = request.headers_mut();
    let authority = HeaderValue::from_str(&webhook.url.authority());
    headers.insert(HOST, authority.map_err(words)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = concat!("Posthouse/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    // A message that was taken, and whose answer was lost, comes again: whoever cares can tell.
    let key = HeaderValue::from_str(&post.key).map_err(words)?;
    headers.insert("idempotency-key", key);
    for (name, value) in &webhook.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(value.reveal()).map_err(words)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(request)
}

/// The answer's head; its body is nobody's concern.
async fn exchange(
    call: Call,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, HeaderMap), String> {
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(call)).await.map_err(words)?;
    let carried = tokio::task::spawn_local(connection);
    let answer = sender.send_request(request).await;
    carried.abort();
    let (head, _) = answer.map_err(words)?.into_parts();
    Ok((head.status, head.headers))
}

/// What an answer means for the message.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Refused> {
    if status.is_success() {
        return Ok(());
    }
    // What is wrong with the message itself; the others may be mended at the receiver.
    const HOPELESS: [u16; 5] = [400, 405, 413, 415, 422];
    let after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let after = after.and_then(|seconds| seconds.trim().parse().ok());
    let hint = if status.is_redirection() {
        ", and redirects are not followed"
    } else {
        ""
    };
    Err(Refused {
        why: format!("it answers {}{hint}", status.as_u16()),
        forever: HOPELESS.contains(&status.as_u16()),
        after: after.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        let mut headers = HeaderMap::new();
        let judged = |code: u16, headers: &HeaderMap| {
            judge(StatusCode::from_u16(code).unwrap(), headers)
                .map_err(|refused| (refused.forever, refused.after))
        };
        assert_eq!(judged(204, &headers), Ok(()));
        for (code, forever) in [
            (302, false),
            (400, true),
            (401, false),
            (404, false),
            (500, false),
        ] {
            assert_eq!(judged(code, &headers), Err((forever, None)), "{code}");
        }
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let seven = Some(Duration::from_secs(7));
        assert_eq!(judged(429, &headers), Err((false, seven)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("-7"));
        assert_eq!(judged(429, &headers), Err((false, None)));
    }
}
