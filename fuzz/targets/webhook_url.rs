//! URLs of webhooks, and the hosts of mailers: what is taken for one is written again as the same.
#![no_main]

use config::model::{Host, Url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(url) = Url::parse(text) {
        assert!(url.path.starts_with('/') && url.port > 0);
        let scheme = if url.tls { "https" } else { "http" };
        let again = Url::parse(&format!("{scheme}://{}{}", url.authority(), url.path));
        assert_eq!(again, Ok(url));
    }
    if let Ok((host, port)) = Host::parse(text) {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let again = Host::parse(&format!("{host}{port}"));
        assert_eq!(again.map(|(host, _)| host), Ok(host));
    }
});
