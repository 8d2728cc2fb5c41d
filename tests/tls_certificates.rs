//! Certificates: which one is shown, which are taken, and how they change.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use testkit::client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Kind, Order, handshake};

use crate::support::{config, free_port};
use crate::tls::Terminated;

/// The name on the certificate that is shown.
fn shown(to: SocketAddr, arguments: &[&str]) -> Result<String> {
    let said = handshake(to, arguments)?;
    let subject = said.lines().find(|line| line.starts_with("subject="));
    Ok(subject
        .unwrap_or("none")
        .replace("subject=", "")
        .replace(' ', ""))
}

#[test]
fn the_name_asked_for_chooses_the_certificate_as_in_haproxy() -> Result<()> {
    let authority = Authority::new()?;
    let order = |names, kind| Order {
        names,
        kind,
        ..Order::default()
    };
    let first = authority.issue("a.pem", &order(&["one.example.com"], Kind::Ecdsa))?;
    authority.issue("b.pem.rsa", &order(&["two.example.com"], Kind::Rsa))?;
    authority.issue(
        "b.pem.ecdsa",
        &order(&["two.example.com", "also.example.com"], Kind::Ecdsa),
    )?;
    let wild = authority.issue("c.pem", &order(&["wild", "*.example.org"], Kind::Ecdsa))?;
    let list = authority.directory().join("list");
    std::fs::write(
        &list,
        format!(
            "# more\n{} *.example.org !bad.example.org\n",
            wild.display()
        ),
    )?;
    let two = authority.directory().join("b.pem");
    let options = format!(
        "crt {} crt {} crt-list {}",
        first.display(),
        two.display(),
        list.display()
    );
    let server = Server::start(Manner::Mail)?;
    let cases: &[(&[&str], &str)] = &[
        (&["-noservername"], "CN=one.example.com"),
        (&["-servername", "one.example.com"], "CN=one.example.com"),
        (&["-servername", "two.example.com"], "CN=two.example.com"),
        (&["-servername", "mx.example.org"], "CN=wild"),
        (&["-servername", "bad.example.org"], "CN=one.example.com"),
        (&["-servername", "a.b.example.org"], "CN=one.example.com"),
        (&["-servername", "nobody.example.net"], "CN=one.example.com"),
    ];
    for program in [Program::Haproxy, Program::Posthouse] {
        let front = Terminated::start(program, &options, &server)?;
        for (arguments, name) in cases {
            let got = shown(front.tls, arguments)?;
            ensure!(got == *name, "{program:?}, {arguments:?}: {got}");
        }
        for (kind, word) in [
            ("ECDSA+SHA256", "ECDSA"),
            ("RSA+SHA256:RSA-PSS+SHA256", "RSA"),
        ] {
            let said = handshake(
                front.tls,
                &["-servername", "two.example.com", "-sigalgs", kind],
            )?;
            let line = said.lines().find(|line| line.contains("signature type"));
            ensure!(
                line.is_some_and(|line| line.contains(word)),
                "{program:?}: {line:?}"
            );
        }
        let front = Terminated::start(program, &format!("{options} strict-sni"), &server)?;
        for arguments in [
            &["-noservername"][..],
            &["-servername", "nobody.example.net"],
        ] {
            ensure!(
                shown(front.tls, arguments)? == "none",
                "{program:?}: {arguments:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn clients_show_certificates_where_they_must() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let file = authority.issue("mx.pem", &Order::default())?;
    let good = authority.issue(
        "good.pem",
        &Order {
            serial: 21,
            ..Order::default()
        },
    )?;
    let revoked = authority.issue(
        "revoked-client.pem",
        &Order {
            serial: 22,
            ..Order::default()
        },
    )?;
    let expired = authority.issue(
        "expired.pem",
        &Order {
            until: 2021,
            ..Order::default()
        },
    )?;
    let strange = stranger.issue("strange.pem", &Order::default())?;
    let list = authority.revoke(22)?;
    let server = Server::start(Manner::Mail)?;
    for (verify, without) in [("required", false), ("optional", true)] {
        let options = format!(
            "crt {} verify {verify} ca-file {} crl-file {}",
            file.display(),
            authority.ca().display(),
            list.display()
        );
        let front = Terminated::start(Program::Posthouse, &options, &server)?;
        for (own, taken) in [
            (None, without),
            (Some(&good), true),
            (Some(&revoked), false),
            (Some(&expired), false),
            (Some(&strange), false),
        ] {
            let path = own
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            let arguments = ["-cert", &path];
            let arguments = if own.is_some() { &arguments[..] } else { &[] };
            let mut client = Client::connect(front.tls, arguments)?;
            let greeted = client.line()?.starts_with("220 ");
            ensure!(
                greeted == taken,
                "verify {verify}, {path}: greeted {greeted}"
            );
        }
        front
            .proxy
            .output
            .wait_for("SSL handshake failure (certificate is revoked)")?;
        front
            .proxy
            .output
            .wait_for("SSL handshake failure (certificate has expired)")?;
        front
            .proxy
            .output
            .wait_for("SSL handshake failure (certificate of an unknown issuer)")?;
    }
    Ok(())
}

#[test]
fn a_server_whose_certificate_is_bad_is_passed_over() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let ca = authority.ca().display().to_string();
    let order = Order::default();
    let wrong = Order {
        names: &["other.example.net"],
        ..order
    };
    let good = authority.issue("good.pem", &order)?;
    let mail = Server::start(Manner::Mail)?;
    for (bad, told) in [
        (stranger.issue("s.pem", &order)?, "s1:tls:"),
        (authority.issue("w.pem", &wrong)?, "s1:tls:"),
        (
            authority.issue(
                "e.pem",
                &Order {
                    until: 2021,
                    ..order
                },
            )?,
            "s1:tls:",
        ),
    ] {
        let oracle = |file: &std::path::Path| {
            Terminated::start(Program::Haproxy, &format!("crt {}", file.display()), &mail)
        };
        let (first, second) = (oracle(&bad)?, oracle(&good)?);
        let tls = format!("ssl ca-file {ca} verifyhost mx.example.com sni str(mx.example.com)");
        let (front, other) = (free_port()?, free_port()?);
        let backend = format!(
            "option greeting\n    server s1 {} {tls}\n    server s2 {} {tls} backup",
            first.tls, second.tls
        );
        let proxy = Proxy::start(
            Program::Posthouse,
            &config(front, &format!("bind {other}"), &backend),
        )?;
        ensure!(client::deliver(front, "x")?.starts_with("220 "));
        let line = proxy.output.wait_for(" fe be/s2 ")?;
        ensure!(line.contains(told), "{line}");
        ensure!(proxy.stat("be", "s1", "ph_tls_failed")? == "1");
    }
    // A server that speaks no TLS at all, and one that is silent in the middle of it.
    for manner in [Manner::Mail, Manner::Closes] {
        let (plain, second) = (
            Server::start(manner)?,
            Terminated::start(Program::Haproxy, &format!("crt {}", good.display()), &mail)?,
        );
        let front = free_port()?;
        let backend = format!(
            "option greeting\n    server s1 {} ssl verify none\n    server s2 {} ssl verify none backup",
            plain.address(),
            second.tls
        );
        let proxy = Proxy::start(Program::Posthouse, &config(front, "", &backend))?;
        ensure!(client::deliver(front, "x")?.starts_with("220 "));
        proxy.output.wait_for("s1:tls:")?;
    }
    Ok(())
}

#[test]
fn what_cannot_serve_is_refused_by_c() -> Result<()> {
    let authority = Authority::new()?;
    let pem = authority.pem(&Order::default())?;
    let other = authority.pem(&Order::default())?;
    let (certificate, _) = pem.split_once("-----BEGIN PRIVATE").unwrap_or((&pem, ""));
    let (_, key) = other
        .split_once("-----BEGIN PRIVATE")
        .unwrap_or((&other, ""));
    let mismatch = format!("{certificate}-----BEGIN PRIVATE{key}");
    let place = |name: &str| authority.directory().join(name);
    std::fs::write(place("mismatch.pem"), mismatch)?;
    std::fs::write(place("nokey.pem"), certificate)?;
    std::fs::write(place("empty.pem"), "")?;
    authority.issue(
        "expired.pem",
        &Order {
            until: 2021,
            ..Order::default()
        },
    )?;
    for (file, code, told) in [
        (
            "mismatch.pem",
            1,
            "the private key is that of another certificate",
        ),
        ("nokey.pem", 1, "no private key in it"),
        ("empty.pem", 1, "no certificate in it"),
        ("missing.pem", 1, "No such file"),
        ("expired.pem", 0, "has expired"),
    ] {
        let front = free_port()?;
        let text = config(
            free_port()?,
            &format!("bind {front} ssl crt {}", place(file).display()),
            "server s1 127.0.0.1:9",
        );
        let path = place("haproxy.cfg");
        std::fs::write(
            &path,
            text.replace("@dir@", &place("").display().to_string()),
        )?;
        let output = Program::Posthouse
            .command()?
            .arg("-c")
            .arg("-f")
            .arg(&path)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(code),
            "{file}: {:?} {said}",
            output.status
        );
        ensure!(said.contains(told), "{file}: {said}");
    }
    Ok(())
}

#[test]
fn certificates_change_without_a_restart() -> Result<()> {
    let authority = Authority::new()?;
    let order = |names, until| Order {
        names,
        until,
        ..Order::default()
    };
    let file = authority.issue("mx.pem", &order(&["old.example.com"], 2090))?;
    let path = file.display().to_string();
    let server = Server::start(Manner::Mail)?;
    for program in [Program::Haproxy, Program::Posthouse] {
        let front = Terminated::start(program, &format!("crt {path}"), &server)?;
        let ask = |command: &str| front.proxy.ask(command);
        let set = |pem: &str| ask(&format!("set ssl cert {path} <<\n{}\n\n", pem.trim()));
        ensure!(ask("show ssl cert")?.contains(&format!("# filename\n{path}")));
        ensure!(shown(front.tls, &[])? == "CN=old.example.com");
        let new = authority.pem(&order(&["new.example.com", "also.example.com"], 2091))?;
        let said = set(&new)?;
        ensure!(
            said.contains(&format!("Transaction created for certificate {path}!")),
            "{said}"
        );
        ensure!(
            shown(front.tls, &[])? == "CN=old.example.com",
            "used before it is committed"
        );
        ensure!(ask("show ssl cert")?.contains(&format!("# transaction\n*{path}\n# filename")));
        ensure!(set(&new)?.contains("Transaction updated for certificate"));
        let said = ask(&format!("commit ssl cert {path}"))?;
        ensure!(
            said.contains(&format!("Committing {path}")) && said.contains("Success!"),
            "{said}"
        );
        ensure!(shown(front.tls, &["-servername", "also.example.com"])? == "CN=new.example.com");
        let facts = ask(&format!("show ssl cert {path}"))?;
        for line in [
            "Status: Used",
            "Serial: 07",
            "notBefore: Jan  1 00:00:00 2020 GMT",
            "notAfter: Dec 31 00:00:00 2091 GMT",
            "Subject Alternative Name: DNS:new.example.com, DNS:also.example.com",
            "Algorithm: EC256",
        ] {
            ensure!(facts.contains(line), "{program:?}: {line}: {facts}");
        }
        ensure!(set(&new)?.contains("created"));
        ensure!(ask(&format!("abort ssl cert {path}"))?.contains("Transaction aborted"));
        let said = ask(&format!("commit ssl cert {path}"))?;
        ensure!(said.contains("No ongoing transaction!"), "{said}");
        ensure!(set("junk")?.contains("Can't load the payload"));
        ensure!(ask("show ssl cert /nobody.pem")?.contains("Can't display the certificate"));
        if program == Program::Posthouse {
            // What HAProxy finds out at the commit is told at once.
            let (certificate, _) = new.split_once("-----BEGIN PRIVATE").unwrap_or((&new, ""));
            ensure!(set(certificate)?.contains("no private key in it"));
        }
    }
    Ok(())
}
