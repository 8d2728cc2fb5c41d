//! What a stranger asks of a page: any address and headers are judged by every kind of condition, and any query chooses
//! metrics or none. Escaped or not, a query means the same.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use config::acl::Request;
use config::model::PageRule;
use config::{Source, load_sources};
use control::MetricsQuery;
use libfuzzer_sys::fuzz_target;

const RULES: &str = "
userlist ops
 user me insecure-password x
defaults
 timeout client 1s
frontend f
 mode http
 bind :80
 http-request deny if { path /a } or { path_beg -i /B } or { path_end c } or { path_sub d } or { path_dir e }
 http-request deny if { url_reg ^/[a-z]+$ } { query -m sub x } { urlp(y) z } { urlp(n) -m int ge 3 lt 9 }
 http-request deny if { hdr(x-any) -m ip 10.0.0.0/8 ::1 } { hdr_dom(x-any) -i example.com } { hdr_cnt(x-any) gt 1 }
 http-request deny unless { http_auth(ops) } { http_auth_group(ops) g } { src 127.0.0.0/8 } { method GET }
";

static CONDITIONS: LazyLock<Vec<PageRule>> = LazyLock::new(|| {
    let source = Source {
        name: "rules".into(),
        text: RULES.into(),
    };
    let model = load_sources(&[source], &|_| None, &|_| None).model;
    let pages = model.and_then(|model| model.proxies[0].pages.clone());
    pages.expect("the rules are right").rules
});

struct Asked<'r> {
    url: &'r str,
    header: Vec<&'r str>,
}

impl Request for Asked<'_> {
    fn method(&self) -> &str {
        self.header.first().copied().unwrap_or_default()
    }

    fn url(&self) -> &str {
        self.url
    }

    fn header(&self, _: &str) -> Vec<&str> {
        self.header.clone()
    }

    fn source(&self) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 4711).into())
    }

    fn destination(&self) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 80).into())
    }

    fn groups(&self, _: &str) -> Option<Vec<&str>> {
        (!self.header.is_empty()).then(|| self.header.clone())
    }

    fn usable_servers(&self, _: &str) -> u64 {
        1
    }
}

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let asked = Asked {
        url: lines.next().unwrap_or_default(),
        header: lines.collect(),
    };
    assert_eq!(CONDITIONS.len(), 4);
    for rule in CONDITIONS.iter() {
        let holds = rule
            .condition
            .as_ref()
            .map(|condition| condition.holds(&asked));
        assert!(holds.is_some());
    }
    if let Some(query) = MetricsQuery::parse(asked.query()) {
        let escape = |byte: u8| match byte {
            b'&' | b'=' | b'%' | b'+' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        // What is escaped already stays as it is.
        if !asked.query().contains('%') {
            let escaped: String = asked.query().bytes().map(escape).collect();
            assert_eq!(MetricsQuery::parse(&escaped), Some(query));
        }
    }
});
