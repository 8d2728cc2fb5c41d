//! Who may see a page: Basic authentication (RFC 7617), for `stats auth` and userlists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::model::UserList;

/// `user:password`, as an `Authorization` header gives it.
pub(super) fn login(header: &str) -> Option<String> {
    let (scheme, given) = header.trim().split_once(' ')?;
    let given = STANDARD.decode(given.trim()).ok()?;
    let basic = scheme.eq_ignore_ascii_case("basic");
    String::from_utf8(given).ok().filter(|_| basic)
}

/// Whether it is one of the logins. Without logins anybody may.
pub(super) fn permits(logins: &[String], given: Option<&str>) -> bool {
    // Every login is compared to its end: the time it takes tells nothing of how much fits.
    let found = given.is_some_and(|given| {
        let fits = |found, login: &String| found | same(login.as_bytes(), given.as_bytes());
        logins.iter().fold(false, fits)
    });
    found || logins.is_empty()
}

/// The groups of the list's user whose login it is; `None`: nobody's.
pub(super) fn groups<'l>(list: &'l UserList, given: &str) -> Option<Vec<&'l str>> {
    let (name, password) = given.split_once(':')?;
    let mut found = None;
    for user in &list.users {
        let fits = user
            .password
            .as_ref()
            .is_some_and(|own| same(own.as_bytes(), password.as_bytes()));
        if fits && user.name == name {
            found = Some(user.groups.iter().map(String::as_str).collect());
        }
    }
    found
}

/// Compares to the end, whatever differs.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    differences == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use config::model::User;

    use super::*;

    #[test]
    fn a_header_gives_a_login() {
        for (header, found) in [
            ("Basic YWRtaW46c2VjcmV0", Some("admin:secret")),
            ("basic  YjpjOmQ= ", Some("b:c:d")),
            ("Bearer YWRtaW46c2VjcmV0", None),
            ("Basic ???", None),
            ("Basic /w==", None),
            ("Basic", None),
        ] {
            assert_eq!(login(header).as_deref(), found, "{header}");
        }
    }

    #[test]
    fn who_may() {
        let logins = ["admin:secret".to_owned(), "b:c:d".to_owned()];
        for (given, may) in [
            (Some("admin:secret"), true),
            (Some("b:c:d"), true),
            (Some("admin:secre"), false),
            (Some("admin:secret2"), false),
            (None, false),
        ] {
            assert_eq!(permits(&logins, given), may, "{given:?}");
        }
        assert!(permits(&[], None));
    }

    #[test]
    fn a_user_without_a_password_is_nobody() {
        let user = |name: &str, password: Option<&str>, group: &str| User {
            name: name.into(),
            password: password.map(Into::into),
            groups: vec![group.into()],
        };
        let list = UserList {
            name: "ops".into(),
            users: vec![user("me", Some("a:b"), "admin"), user("ghost", None, "x")],
        };
        assert_eq!(groups(&list, "me:a:b"), Some(vec!["admin"]));
        assert_eq!(groups(&list, "me:a"), None);
        assert_eq!(groups(&list, "ghost:"), None);
        assert_eq!(groups(&list, "me"), None);
    }
}
