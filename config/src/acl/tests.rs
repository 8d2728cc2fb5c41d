use proptest::prelude::*;

use super::*;
use crate::{Source, load_sources};

const LISTS: &str =
    "userlist ops\n user me insecure-password x groups staff\n group staff\nuserlist others\n";

/// The condition of an `http-request deny` behind these lines.
fn rule(lines: &str, condition: &str) -> Result<Condition, String> {
    let text = format!(
        "{LISTS}defaults\n mode http\n timeout client 1s\nfrontend f\n bind :80\n{lines}\n http-request deny {condition}\n\
         backend mail\n mode tcp\n timeout connect 1s\n timeout server 1s\n"
    );
    let source = Source {
        name: "test".into(),
        text: text.into_bytes(),
    };
    let loaded = load_sources(&[source], &|_| None, &|_| None);
    let said = loaded.diagnostics.first().map(|first| first.render());
    let rules = loaded.model.map(|model| model.proxies[0].pages.clone());
    let rule = rules
        .flatten()
        .and_then(|pages| pages.rules.first().cloned());
    rule.and_then(|rule| rule.condition)
        .ok_or_else(|| said.unwrap_or_default())
}

/// A request of somebody who is in `staff` of `ops`.
struct Asked;

impl Request for Asked {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn url(&self) -> &'static str {
        "/a/metrics?scope=server&token=x"
    }

    fn header(&self, name: &str) -> Vec<&str> {
        match name {
            "host" => vec!["Mail.Example.com"],
            "x-for" => vec!["10.1.1.1, 192.0.2.9", "::1"],
            _ => Vec::new(),
        }
    }

    fn source(&self) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 7], 40_000)))
    }

    fn destination(&self) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 1], 8404)))
    }

    fn groups(&self, userlist: &str) -> Option<Vec<&str>> {
        (userlist == "ops").then(|| vec!["staff"])
    }

    fn usable_servers(&self, _: &str) -> u64 {
        1
    }
}

#[test]
fn conditions_hold_as_written() {
    let lines = " acl inside src 192.0.2.0/24 2001:db8::/32\n acl nobody always_false\n acl nobody path /nowhere";
    for (condition, holds) in [
        ("if TRUE", true),
        ("unless TRUE", false),
        ("if FALSE or TRUE", true),
        ("if TRUE FALSE || FALSE", false),
        ("if ! FALSE", true),
        ("if !!TRUE", true),
        ("if inside", true),
        ("if inside !nobody { path /a/metrics }", true),
        ("if { path -m beg /b } or { path_beg /x /a }", true),
        ("if { path_end metrics }", true),
        ("if { url_sub scope=server } { path_sub scope }", false),
        ("if { path_dir metrics }", true),
        ("if { path_reg ^/[a-z]/m }", true),
        ("if { hdr(host) mail.example.com }", false),
        ("if { hdr(host) -i mail.example.com }", true),
        ("if { hdr_end(host) -i .EXAMPLE.com }", true),
        ("if { src 10.0.0.0/8 ::1 }", false),
        ("if { src 0.0.0.0/0 }", true),
        ("if { dst_port 1:1024 8404 }", true),
        ("if { dst 192.0.2.1 } { src_port gt 39999 }", true),
        ("if METH_POST", false),
        ("if METH_GET LOCALHOST", false),
        ("if { hdr_dom(host) -i example.com }", true),
        ("if { hdr_dom(host) -i xample.com }", false),
        ("if { hdr(x-for) -m ip 10.0.0.0/8 }", true),
        ("if { req.fhdr(x-for) 10.1.1.1 }", false),
        ("if { hdr_cnt(X-For) 3 }", true),
        ("if { req.hdr(authorization) -m found }", false),
        ("if { urlp(token) x } { query -m sub scope }", true),
        (
            "if { http_auth(ops) } { http_auth_group(ops) admin staff }",
            true,
        ),
        (
            "if { http_auth(others) } or { http_auth_group(others) staff }",
            false,
        ),
        ("if { nbsrv(mail) lt 1 }", false),
        ("if { nbsrv(mail) lt 2 } { nbsrv(mail) ge 1 le 3 }", true),
        ("if { nbsrv(mail) gt 1 5 }", false),
        ("if { ssl_fc }", false),
        ("if { ssl_fc 0 }", true),
    ] {
        let condition_of = rule(lines, condition);
        let found = condition_of.unwrap_or_else(|said| panic!("{condition}: {said}"));
        assert_eq!(found.holds(&Asked), holds, "{condition}");
    }
}

#[test]
fn a_list_is_read_from_a_file() {
    let file = std::env::temp_dir().join(format!("posthouse-acl-{}", std::process::id()));
    std::fs::write(&file, "# who may\n10.0.0.0/8\n\n192.0.2.7\n").expect("a file");
    let found = rule("", &format!("if {{ src -f {} }}", file.display()));
    std::fs::remove_file(&file).expect("removed");
    assert!(found.is_ok_and(|condition| condition.holds(&Asked)));
}

#[test]
fn what_is_wrong_is_named() {
    for (condition, word) in [
        ("when TRUE", "expects 'if' or 'unless'"),
        ("if bogus", "no such ACL : 'bogus'"),
        ("if { path /x", "missing closing '}'"),
        ("if { path }", "needs something"),
        ("if TRUE or", "on each side of 'or'"),
        ("if !", "on each side of 'or'"),
        ("if { cookie(x) y }", "not supported by Posthouse yet"),
        ("if { src nowhere }", "'nowhere' is not a valid address"),
        ("if { dst_port http }", "not a number"),
        (
            "if { http_auth(nobody) }",
            "unable to find userlist 'nobody'",
        ),
        ("if { nbsrv(no) lt 1 }", "unable to find backend 'no'"),
        ("if { hdr x }", "needs an argument"),
        ("if { path(x) y }", "takes no argument"),
        ("if { path,lower x }", "no converters"),
        ("if { path_reg ( }", "is invalid"),
        (
            "if { path -f /no/such/file }",
            "failed to open pattern file",
        ),
        ("if { path -u x }", "flag '-u'"),
    ] {
        let said = rule("", condition).err().unwrap_or_default();
        assert!(said.contains(word), "{condition}: {said}");
    }
}

proptest! {
    /// Any words give a condition or an error, and an address is in its own network.
    #[test]
    fn nothing_breaks_it(words in "[ -~]{0,60}", ip: IpAddr, bits in 0_u8..=128) {
        let _ = rule("", &format!("if {words}"));
        let most = if ip.is_ipv4() { 32 } else { 128 };
        prop_assert!(pattern::within(ip, ip, bits.min(most)));
    }
}
