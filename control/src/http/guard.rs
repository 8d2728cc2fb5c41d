//! What keeps the page's buttons to those who see it: the token of its forms, and headers that tell the browser
//! what the page may do.
//!
//! A page elsewhere may make a browser send a form here, with the login it knows; what it cannot is read this page. So
//! a form that a browser sends must bring the token that stands in it. Scripts that are no browsers (curl, Ansible)
//! send HAProxy's form as always.

use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERER, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Told by every browser of these years: where a request comes from.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// 128 bits that nobody can guess, in hexadecimal digits; `None`: the system has none to give.
pub(super) fn secret() -> Option<String> {
    let mut bytes = [0_u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    (filled == Ok(bytes.len())).then(|| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}

/// Whether a form may act: it has the token, or was not sent by a browser.
pub(super) fn permits(headers: &HeaderMap, given: Option<&str>, token: Option<&str>) -> bool {
    match (given, token) {
        (Some(given), Some(token)) if super::auth::same(given.as_bytes(), token.as_bytes()) => true,
        (Some(_), _) => false,
        (None, _) => !is_browser(headers),
    }
}

fn is_browser(headers: &HeaderMap) -> bool {
    let elsewhere = || {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(from) = text(&REFERER) else {
            return false;
        };
        let host = from.split_once("://").map_or(from, |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next();
        host != text(&HOST)
    };
    headers.contains_key(ORIGIN) || headers.contains_key(SITE) || elsewhere()
}

/// Nothing but what the document itself brings, and requests to where it is from.
pub(super) fn protect(headers: &mut HeaderMap, nonce: &str) {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_browser_needs_the_token_and_a_script_does_not() {
        let script = headers(&[("host", "a"), ("user-agent", "curl")]);
        let own = headers(&[("host", "a"), ("origin", "http://a")]);
        let foreign = headers(&[
            ("host", "a"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ]);
        let old = headers(&[("host", "a"), ("referer", "http://b/x")]);
        let token = Some("t");
        assert!(permits(&script, None, token));
        assert!(permits(
            &headers(&[("host", "a:1"), ("referer", "http://a:1/x")]),
            None,
            token
        ));
        for browser in [&own, &foreign, &old] {
            assert!(!permits(browser, None, token));
            assert!(!permits(browser, Some("x"), token));
            assert!(permits(browser, Some("t"), token));
        }
        assert!(
            !permits(&script, Some("x"), token),
            "a wrong token is no token"
        );
        assert!(!permits(&own, Some(""), None));
    }

    #[test]
    fn secrets_differ() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert!(one != two && one.len() == 32);
    }
}
