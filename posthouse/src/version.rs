//! What `-v` and its kin print, and the names the version has elsewhere (`show info`, messages).
//!
//! Scripts look for `HAProxy version` and compare what follows, so the line gives the version whose
//! behaviour is followed, with our own as its suffix; the second line says what this really is.

use crate::flags::Version;

/// The branch of HAProxy whose configuration and behaviour are followed.
pub(crate) const BRANCH: &str = "3.4";
/// The version of HAProxy followed.
pub(crate) const SHORT: &str = "3.4.0";
/// The same with our own version behind it.
pub(crate) const FULL: &str = concat!("3.4.0-posthouse-", env!("CARGO_PKG_VERSION"));
/// The day of this release.
pub(crate) const DATE: &str = "2026/11/24";

/// `+` is built in, `-` is not; HAProxy's names, in its order. The `feature()` predicate of `.if`
/// is answered from the configuration's own list, which a test holds equal to this one.
const FEATURES: &str = "+ACCEPT4 +CPU_AFFINITY +EPOLL -GETADDRINFO +LINUX_SPLICE +LINUX_TPROXY -LUA \
+OPENSSL +OPENSSL_AWSLC -PCRE -PCRE2 +POLL +PRCTL -PROMEX -QUIC +RT -SLZ -SSL +SYSTEMD +TFO +THREAD +TPROXY -ZLIB";

/// The text, ending in a newline.
pub(crate) fn text(detail: Version) -> String {
    match detail {
        Version::Full => format!("{FULL}\n"),
        Version::Short => format!("{SHORT}\n"),
        Version::Branch => format!("{BRANCH}\n"),
        Version::Lines => lines(),
        Version::Build => lines() + &build(),
    }
}

fn lines() -> String {
    format!(
        "HAProxy version {FULL} {DATE} - behaviour followed in mode tcp\n\
         Posthouse {} {DATE}, a mail failover proxy. It is not HAProxy, and reads its configuration.\n",
        env!("CARGO_PKG_VERSION"),
    )
}

fn build() -> String {
    let target = if cfg!(target_env = "musl") {
        "linux-musl"
    } else {
        "linux-glibc"
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Build options :\n  TARGET  = {target}\n  CPU     = {cpu}\n\n\
         Feature list : {FEATURES}\n\n\
         Default settings :\n  bufsize = 16384\n\n\
         Built with multi-threading support (default={threads}).\n\n\
         Available polling systems :\n      epoll : pref=300,  test result OK\n\
         Total: 1 (1 usable), will use epoll.\n\n\
         Available services : none\n\n\
         Available filters : none\n",
        cpu = std::env::consts::ARCH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_what_they_look_for() {
        let build = text(Version::Build);
        assert!(build.starts_with("HAProxy version 3.4."), "{build}");
        for wanted in [
            "  TARGET  = linux-",
            "\nFeature list : +",
            "\nAvailable services : ",
        ] {
            assert!(build.contains(wanted), "{wanted:?} in {build}");
        }
        assert!(build.starts_with(&text(Version::Lines)));
    }

    #[test]
    fn the_short_forms_are_one_word() {
        assert_eq!(text(Version::Branch), "3.4\n");
        assert!(FULL.starts_with(SHORT) && SHORT.starts_with(BRANCH));
        assert_eq!(text(Version::Full).split_whitespace().count(), 1);
    }
}
