//! The PROXY protocol, to servers and from clients.

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

/// Postfix names the real client, not the proxy.
#[test]
fn postfix_learns_who_the_client_is() -> Result<()> {
    let lab = Lab::new()?;
    let postfix = Postfix::start(&lab, Host::Mail1)?;
    let configuration = |version: &str| {
        format!(
            "global
    stats socket @dir@/socket level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend smtp_inbound
    bind *:25
    default_backend mail_servers
backend mail_servers
    option tcp-check
    tcp-check expect string \"220 \"
    server mail1 {}:10025 check inter 500ms {version}
",
            Host::Mail1.ip()
        )
    };
    for version in ["send-proxy", "send-proxy-v2"] {
        let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &configuration(version))?;
        proxy.wait_for_status("mail_servers", "mail1", "UP")?;
        let to = (Host::Lb.ip(), 25).into();
        lab.on(Host::Client, || testkit::client::deliver(to, version))?;
        postfix.wait_for_message(version)?;
    }
    let named = format!("client=unknown[{}]", Host::Client.ip());
    let log = postfix.log()?;
    ensure!(log.matches(&named).count() == 2, "{log}");
    ensure!(
        !log.contains("bad command startup") && !log.contains("PROXY protocol"),
        "{log}"
    );
    Ok(())
}

/// What a client announces is what the server is told and the log says.
fn announced(header: &[u8]) -> Result<(Proxy, Server, Client)> {
    let server = Server::start(Manner::Mail)?;
    let front = free_port()?;
    let backend = format!("server s1 {} send-proxy", server.address());
    let text = config(front, "timeout client 800ms", &backend).replace(
        &format!("bind {front}"),
        &format!("bind {front} accept-proxy"),
    );
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    let mut client = Client::connect(front)?;
    client.send(header)?;
    Ok((proxy, server, client))
}

#[test]
fn a_header_of_version_1_is_believed() -> Result<()> {
    let (proxy, server, mut client) =
        announced(b"PROXY TCP4 192.0.2.7 192.0.2.25 4321 25\r\nEHLO early\r\n")?;
    ensure!(client.line()?.starts_with("220"));
    server
        .heard
        .wait_for("1: PROXY TCP4 192.0.2.7 192.0.2.25 4321 25")?;
    server.heard.wait_for("1: EHLO early")?;
    client.command("QUIT")?;
    proxy.output.wait_for("192.0.2.7:4321 [")?;
    Ok(())
}

#[test]
fn a_header_of_version_2_is_believed() -> Result<()> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&[192, 0, 2, 8, 192, 0, 2, 25, 0x10, 0xe1, 0, 25]);
    let (_proxy, server, mut client) = announced(&header)?;
    ensure!(client.line()?.starts_with("220"));
    server
        .heard
        .wait_for("1: PROXY TCP4 192.0.2.8 192.0.2.25 4321 25")?;
    Ok(())
}

#[test]
fn a_header_in_pieces_is_taken() -> Result<()> {
    let (_proxy, server, mut client) = announced(b"PROXY TCP4 192.0")?;
    testkit::pause(std::time::Duration::from_millis(50));
    client.send(".2.9 192.0.2.25 1 25\r\n")?;
    ensure!(client.line()?.starts_with("220"));
    server.heard.wait_for("1: PROXY TCP4 192.0.2.9 ")?;
    Ok(())
}

#[test]
fn what_is_no_header_ends_the_connection() -> Result<()> {
    let (proxy, server, mut client) = announced(b"EHLO there\r\n")?;
    // Closed with the client's bytes unread it may be a reset: both are an end.
    ensure!(client.rest().unwrap_or_default().is_empty());
    proxy
        .output
        .wait_for("fe/1: Received something which does not look like a PROXY protocol header")?;
    ensure!(server.connections() == 0);
    Ok(())
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for_forever() -> Result<()> {
    let (proxy, _server, mut client) = announced(b"")?;
    ensure!(client.rest().unwrap_or_default().is_empty());
    proxy
        .output
        .wait_for("fe/1: Timeout while waiting for PROXY protocol header")?;
    Ok(())
}
