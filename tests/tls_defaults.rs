//! `ssl-default-bind-*` and `ssl-default-server-*`: what holds where a line says nothing, as in HAProxy.

use anyhow::{Result, ensure};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Order, handshake};

use crate::support::{config, free_port, same_answers};

const SUITE: &str = "TLS_AES_128_GCM_SHA256";
const CIPHER: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";

/// What `global` says of one side, as `-<side>-`, and what a line of that side says.
fn cases() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), ""),
        ("options ssl-min-ver TLSv1.3".into(), ""),
        ("options ssl-max-ver TLSv1.2".into(), ""),
        ("options no-tlsv13".into(), ""),
        // The line has the last word.
        ("options ssl-max-ver TLSv1.2".into(), "ssl-max-ver TLSv1.3"),
        (format!("ciphersuites {SUITE}"), ""),
        (
            format!("ciphersuites {SUITE}"),
            "ciphersuites TLS_AES_256_GCM_SHA384",
        ),
        (format!("ciphers {CIPHER}"), "ssl-max-ver TLSv1.2"),
        (
            format!("ciphers {CIPHER}"),
            "ssl-max-ver TLSv1.2 ciphers ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
    ]
}

fn with_default(text: &str, side: &str, default: &str) -> String {
    let line = format!("maxconn 2000\n    ssl-default-{side}-{default}");
    match default {
        "" => text.to_owned(),
        _ => text.replace("maxconn 2000", &line),
    }
}

#[test]
fn defaults_of_bind_lines() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    let told = |program| -> Result<Vec<String>> {
        let mut told = Vec::new();
        for (default, options) in cases() {
            let tls = free_port()?;
            let bind = format!("bind {tls} ssl crt {} {options}", crt.display());
            let text = config(
                free_port()?,
                &bind,
                &format!("server s1 {}", server.address()),
            );
            let _proxy = Proxy::start(program, &with_default(&text, "bind", &default))?;
            for version in ["-tls1_2", "-tls1_3"] {
                let said = handshake(tls, &[version])?;
                let mut lines = said.lines();
                let line = lines.find(|line| line.starts_with("New, "));
                told.push(format!("{default} {options} {version}: {line:?}"));
            }
        }
        Ok(told)
    };
    let theirs = told(Program::Haproxy)?;
    for word in [SUITE, CIPHER] {
        ensure!(theirs.iter().any(|line| line.contains(word)), "{theirs:#?}");
    }
    same_answers(&theirs, &told(Program::Posthouse)?)
}

#[test]
fn defaults_of_server_lines() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let mail = Server::start(Manner::Mail)?;
    // It tells what it was asked for.
    let at = free_port()?;
    let bind = format!(
        "bind {at} ssl crt {}\n    log-format \"asked=%sslv/%sslc;\"",
        crt.display()
    );
    let text = config(
        free_port()?,
        &bind,
        &format!("server s1 {}", mail.address()),
    );
    let oracle = Proxy::start(Program::Haproxy, &text)?;
    let mut asked = 0;
    let mut told = |program| -> Result<Vec<String>> {
        let mut told = Vec::new();
        for (default, options) in cases() {
            let front = free_port()?;
            let line = format!("server s1 {at} ssl verify none {options}");
            let text = with_default(&config(front, "", &line), "server", &default);
            let _proxy = Proxy::start(program, &text)?;
            deliver(front, "asked")?;
            asked += 1;
            let line = oracle.output.wait_for_nth("asked=", asked)?;
            told.push(format!("{default} {options}: {line}"));
        }
        Ok(told)
    };
    let theirs = told(Program::Haproxy)?;
    for word in [SUITE, CIPHER] {
        ensure!(theirs.iter().any(|line| line.contains(word)), "{theirs:#?}");
    }
    same_answers(&theirs, &told(Program::Posthouse)?)
}
