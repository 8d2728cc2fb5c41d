//! TLS with servers, as Debian's HAProxy sees it from the other end: resumption, names, our certificate, revocation.
//! And what clients find stapled to ours.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order, handshake};

use crate::support::{config, free_port};

/// HAProxy with TLS before a mail server: it tells what it was asked.
struct Oracle {
    proxy: Proxy,
    address: SocketAddr,
    _mail: Server,
}

impl Oracle {
    fn start(crt: &Path, options: &str) -> Result<Self> {
        let mail = Server::start(Manner::Mail)?;
        let address = free_port()?;
        let frontend = format!(
            "bind {address} ssl crt {} {options}\n    log-format \"name=%[ssl_fc_sni] resumed=%[ssl_fc_is_resumed] \
             own=%[ssl_c_s_dn(cn)];\"",
            crt.display()
        );
        let backend = format!("server s1 {}", mail.address());
        let text = config(free_port()?, &frontend, &backend);
        Ok(Self {
            proxy: Proxy::start(Program::Haproxy, &text)?,
            address,
            _mail: mail,
        })
    }
}

/// Posthouse in clear text before servers within TLS.
fn fronted(frontend: &str, servers: &str) -> Result<(Proxy, SocketAddr)> {
    let front = free_port()?;
    // A busy machine is no reason to ask another server.
    let backend =
        format!("option greeting\n    timeout hedge 30s\n    timeout greeting 30s\n    {servers}");
    let proxy = Proxy::start(Program::Posthouse, &config(front, frontend, &backend))?;
    Ok((proxy, front))
}

#[test]
fn sessions_with_servers_are_resumed() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    for version in ["ssl-max-ver TLSv1.2", "ssl-min-ver TLSv1.3"] {
        for (option, resumed) in [("", 5), ("no-ssl-reuse", 0)] {
            let oracle = Oracle::start(&crt, version)?;
            let line = format!("server s1 {} ssl verify none {option}", oracle.address);
            let (_proxy, front) = fronted("", &line)?;
            for number in 0..6 {
                deliver(front, &format!("resumed {number}"))?;
            }
            // Each session comes to a worker of the kernel's choice; what is remembered is remembered by all.
            oracle.proxy.output.wait_for_nth(" resumed=", 6)?;
            let lines = oracle.proxy.output.lines();
            let found = lines.iter().filter(|line| line.contains(" resumed=1"));
            let found = found.count();
            ensure!(found == resumed, "{version} {option}: {found}: {lines:?}");
        }
    }
    Ok(())
}

#[test]
fn the_name_a_client_asks_for_is_asked_of_the_server() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let oracle = Oracle::start(&crt, "")?;
    let tls = free_port()?;
    let bind = format!("bind {tls} ssl crt {}", crt.display());
    for (sni, told) in [
        ("sni ssl_fc_sni", "name=asked.example.com "),
        ("sni str(written.example.com)", "name=written.example.com "),
        ("", "name=- "),
    ] {
        let line = format!("server s1 {} ssl verify none {sni}", oracle.address);
        let (_proxy, _) = fronted(&bind, &line)?;
        let mut client = Client::connect(tls, &["-servername", "asked.example.com"])?;
        ensure!(client.line()?.starts_with("220"), "{sni}");
        ensure!(client.command("QUIT")?.starts_with("221"), "{sni}");
        oracle.proxy.output.wait_for(told)?;
    }
    Ok(())
}

#[test]
fn who_asks_for_our_certificate_gets_it() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let names = ["proxy.example.com"];
    let own = authority.issue(
        "own.pem",
        &Order {
            names: &names,
            ..Order::default()
        },
    )?;
    let asks = format!("verify required ca-file {}", authority.ca().display());
    for version in ["ssl-max-ver TLSv1.2", "ssl-min-ver TLSv1.3"] {
        let oracle = Oracle::start(&crt, &format!("{asks} {version}"))?;
        let at = oracle.address;
        let servers = format!(
            "server without {at} ssl verify none\n    server with {at} ssl verify none crt {} backup",
            own.display()
        );
        let (proxy, front) = fronted("", &servers)?;
        deliver(front, "with a certificate")?;
        let line = proxy.output.wait_for(" fe be/with ")?;
        ensure!(line.contains(" tried=without:"), "{line}");
        oracle.proxy.output.wait_for(" own=proxy.example.com;")?;
    }
    Ok(())
}

#[test]
fn a_revoked_server_is_passed_over_and_so_are_strangers_to_the_system() -> Result<()> {
    let authority = Authority::new()?;
    let revoked = Order {
        serial: 22,
        ..Order::default()
    };
    let bad = Oracle::start(&authority.issue("bad.pem", &revoked)?, "")?;
    let good = Oracle::start(&authority.issue("good.pem", &Order::default())?, "")?;
    let ca = format!("ssl ca-file {}", authority.ca().display());
    let with = format!("{ca} crl-file {}", authority.revoke(22)?.display());
    // Without the list nobody can know.
    for (first, tried) in [
        (with.as_str(), true),
        (&ca, false),
        ("ssl ca-file @system-ca", true),
    ] {
        let servers = format!(
            "server s1 {} {first}\n    server s2 {} {ca} backup",
            bad.address, good.address
        );
        let (proxy, front) = fronted("", &servers)?;
        deliver(front, "revoked")?;
        let line = proxy.output.wait_for(" fe be/s")?;
        ensure!(line.contains(" tried=s1:tls:") == tried, "{first}: {line}");
    }
    Ok(())
}

#[test]
fn an_answer_of_ocsp_is_stapled() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let server = Server::start(Manner::Mail)?;
    let start = |program| -> Result<(Proxy, SocketAddr)> {
        let tls = free_port()?;
        let bind = format!("bind {tls} ssl crt {}", crt.display());
        let backend = format!("server s1 {}", server.address());
        let text = config(free_port()?, &bind, &backend);
        Ok((Proxy::start(program, &text)?, tls))
    };
    let (_proxy, tls) = start(Program::Posthouse)?;
    let said = handshake(tls, &["-status"])?;
    ensure!(said.contains("OCSP response: no response sent"), "{said}");
    authority.staple(&crt, 7)?;
    // HAProxy wants the issuer in the file, or beside it.
    std::fs::copy(authority.ca(), format!("{}.issuer", crt.display()))?;
    for program in [Program::Haproxy, Program::Posthouse] {
        let (_proxy, tls) = start(program)?;
        for version in ["-tls1_2", "-tls1_3"] {
            let said = handshake(tls, &["-status", version])?;
            ensure!(
                said.contains("Cert Status: good"),
                "{program:?} {version}: {said}"
            );
        }
    }
    Ok(())
}
