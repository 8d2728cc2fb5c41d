//! `stats auth`: Basic authentication (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whether the `Authorization` header names one of the logins (`user:password`). Without logins anybody may.
pub(super) fn permits(logins: &[String], header: Option<&str>) -> bool {
    if logins.is_empty() {
        return true;
    }
    let Some((scheme, given)) = header.and_then(|header| header.trim().split_once(' ')) else {
        return false;
    };
    let Ok(given) = STANDARD.decode(given.trim()) else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    // Every login is compared to its end: the time it takes tells nothing of how much fits.
    logins
        .iter()
        .fold(false, |found, login| found | same(login.as_bytes(), &given))
}

fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    differences == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may() {
        let logins = ["admin:secret".to_owned(), "b:c:d".to_owned()];
        // `admin:secret`, `b:c:d`, `admin:secre`.
        assert!(permits(&logins, Some("Basic YWRtaW46c2VjcmV0")));
        assert!(permits(&logins, Some("basic YjpjOmQ=")));
        assert!(!permits(&logins, Some("Basic YWRtaW46c2VjcmU=")));
        assert!(!permits(&logins, Some("Bearer YWRtaW46c2VjcmV0")));
        assert!(!permits(&logins, Some("Basic ???")));
        assert!(!permits(&logins, None));
        assert!(permits(&[], None));
    }
}
