use proptest::prelude::*;

use super::*;
use crate::{Source, load_sources};

/// The condition of an `http-request deny` behind these lines.
fn rule(lines: &str, condition: &str) -> Result<Condition, String> {
    let text = format!(
        "defaults\n mode http\n timeout client 1s\nfrontend f\n bind :80\n{lines}\n http-request deny {condition}\n"
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

const REQUEST: Request<'static> = Request {
    method: "GET",
    url: "/a/metrics?scope=server",
    host: "Mail.Example.com",
    source: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7))),
    port: 8404,
};

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
        ("if METH_POST", false),
        ("if METH_GET LOCALHOST", false),
    ] {
        let condition_of = rule(lines, condition);
        let found = condition_of.unwrap_or_else(|said| panic!("{condition}: {said}"));
        assert_eq!(found.holds(&REQUEST), holds, "{condition}");
    }
}

#[test]
fn a_list_is_read_from_a_file() {
    let file = std::env::temp_dir().join(format!("posthouse-acl-{}", std::process::id()));
    std::fs::write(&file, "# who may\n10.0.0.0/8\n\n192.0.2.7\n").expect("a file");
    let found = rule("", &format!("if {{ src -f {} }}", file.display()));
    std::fs::remove_file(&file).expect("removed");
    assert!(found.is_ok_and(|condition| condition.holds(&REQUEST)));
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
        prop_assert!(within(ip, ip, bits.min(most)));
    }
}
