//! The script of `option ssl-hello-chk`.

use regex::bytes::Regex;

use super::{Connect, Expect, Kind, Pattern, Rule, Script, Send, Status};
use crate::hello;

impl Script {
    /// Says a ClientHello: whoever answers with a handshake or an alert speaks TLS.
    pub fn tls_hello() -> Self {
        let mut rules = vec![
            Rule::Connect(Connect {
                default: true,
                ..Connect::default()
            }),
            Rule::Send(Send {
                data: hello::plain(),
                comment: None,
            }),
        ];
        // The pattern is a constant; a test walks the script.
        rules.extend(Regex::new("^1[56]").ok().map(|pattern| {
            Rule::Expect(Expect {
                pattern: Pattern::RegexBinary(pattern),
                negate: false,
                min_recv: Some(1),
                ok_status: Status::L6Ok,
                error_status: Status::L6Rsp,
                tout_status: Status::L6Timeout,
                on_success: Some(String::new()),
                on_error: Some(String::new()),
                comment: None,
            })
        }));
        Self {
            kind: Kind::TcpCheck,
            rules,
            ..Self::default()
        }
    }
}
