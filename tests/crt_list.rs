//! What certificates of a `crt-list` have for themselves: as HAProxy has it, and what is said of what cannot be.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use anyhow::{Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Order, handshake};

use crate::support::{config, free_port, same_answers};

/// Names with options, and the kinds of clients that come for each.
const LINES: &[(&str, &str)] = &[
    ("plain.example.com", ""),
    ("new.example.com", "[ssl-min-ver TLSv1.3]"),
    ("old.example.com", "[ssl-max-ver TLSv1.2]"),
    ("shown.example.com", "[verify required ca-file @ca@]"),
    ("asked.example.com", "[verify optional ca-file @ca@]"),
    (
        "revoked.example.com",
        "[verify required ca-file @ca@ crl-file @crl@]",
    ),
    ("smtp.example.com", "[alpn smtp,other]"),
];

struct Scene {
    authority: Authority,
    list: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let authority = Authority::new()?;
        let revoked = authority.revoke(22)?.display().to_string();
        let ca = authority.ca().display().to_string();
        let mut list = String::new();
        for (name, options) in LINES {
            let names: &[&str] = &[name];
            let order = Order {
                names,
                ..Order::default()
            };
            let file = authority.issue(name, &order)?;
            let options = options.replace("@ca@", &ca).replace("@crl@", &revoked);
            list += &format!("{} {options} {name}\n", file.display());
        }
        Ok(Self { authority, list })
    }

    fn start(&self, program: Program, server: &Server) -> Result<(Proxy, SocketAddr)> {
        let (plain, tls) = (free_port()?, free_port()?);
        let file = self.authority.directory().join("list");
        std::fs::write(&file, &self.list)?;
        let bind = format!("bind {tls} ssl crt-list {}", file.display());
        let text = config(plain, &bind, &format!("server s1 {}", server.address()));
        Ok((Proxy::start(program, &text)?, tls))
    }
}

/// What a client gets to see, and whether it gets a session.
fn seen(to: SocketAddr, arguments: &[&str]) -> Result<String> {
    let said = handshake(to, arguments)?;
    let told = said.lines().filter(|line| {
        let told = ["subject=", "New, ", "ALPN protocol", "No ALPN"];
        told.iter().any(|word| line.starts_with(word))
    });
    let told: Vec<_> = told.collect();
    let greeting = Client::connect(to, arguments)?.line().unwrap_or_default();
    let served = if greeting.starts_with("220 ") {
        "served"
    } else {
        "refused"
    };
    Ok(format!("{arguments:?}: {}: {served}", told.join(", ")))
}

#[test]
fn a_certificate_has_options_of_its_own_as_in_haproxy() -> Result<()> {
    let scene = Scene::new()?;
    let client = |serial| {
        let order = Order {
            serial,
            ..Order::default()
        };
        let file = scene
            .authority
            .issue(&format!("client{serial}.pem"), &order)?;
        anyhow::Ok(file.display().to_string())
    };
    let (good, bad) = (client(21)?, client(22)?);
    let kinds: &[(&str, &[&[&str]])] = &[
        ("plain", &[&["-tls1_2"], &["-tls1_3", "-alpn", "smtp"]]),
        ("new", &[&["-tls1_2"], &["-tls1_3"]]),
        ("old", &[&["-tls1_2"], &["-tls1_3"]]),
        (
            "shown",
            &[
                &["-tls1_2"],
                &["-tls1_3"],
                &["-tls1_2", "-cert", &good, "-key", &good],
                &["-cert", &good, "-key", &good],
            ],
        ),
        (
            "asked",
            &[&["-tls1_3"], &["-tls1_3", "-cert", &good, "-key", &good]],
        ),
        (
            "revoked",
            &[
                &["-cert", &good, "-key", &good],
                &["-cert", &bad, "-key", &bad],
            ],
        ),
        (
            "smtp",
            &[&["-alpn", "smtp"], &["-tls1_2", "-alpn", "other"]],
        ),
        ("nobody", &[&["-tls1_2"], &["-tls1_3"]]),
    ];
    let server = Server::start(Manner::Mail)?;
    let told = |program| -> Result<Vec<String>> {
        let (_proxy, to) = scene.start(program, &server)?;
        let mut told = Vec::new();
        for (name, clients) in kinds {
            let name = format!("{name}.example.com");
            for arguments in *clients {
                told.push(seen(to, &[&["-servername", &name], *arguments].concat())?);
            }
        }
        Ok(told)
    };
    let theirs = told(Program::Haproxy)?;
    let refused = theirs.iter().filter(|line| line.ends_with("refused"));
    ensure!(refused.count() == 5, "{theirs:#?}");
    same_answers(&theirs, &told(Program::Posthouse)?)
}

/// Suites and groups are a certificate's own too; HAProxy leaves groups to the line.
#[test]
fn suites_and_groups_are_those_of_the_certificate() -> Result<()> {
    let mut scene = Scene::new()?;
    let order = Order::default();
    let file = scene.authority.issue("mx.pem", &order)?;
    let options =
        "[ciphers ECDHE-ECDSA-AES128-GCM-SHA256 ciphersuites TLS_AES_128_GCM_SHA256 curves P-384]";
    scene.list += &format!("{} {options}\n", file.display());
    let server = Server::start(Manner::Mail)?;
    let (_proxy, to) = scene.start(Program::Posthouse, &server)?;
    for (name, version, words) in [
        (
            "mx",
            "-tls1_2",
            ["Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", "secp384r1"],
        ),
        (
            "mx",
            "-tls1_3",
            ["Cipher is TLS_AES_128_GCM_SHA256", "secp384r1"],
        ),
        (
            "plain",
            "-tls1_2",
            ["Cipher is ECDHE-ECDSA-AES256-GCM-SHA384", "X25519"],
        ),
        (
            "plain",
            "-tls1_3",
            ["Cipher is TLS_AES_256_GCM_SHA384", "X25519"],
        ),
    ] {
        let name = format!("{name}.example.com");
        let curves = "X25519:P-256:P-384";
        let said = handshake(to, &["-servername", &name, version, "-curves", curves])?;
        let all = words.iter().all(|word| said.contains(word));
        ensure!(all, "{name} {version}: {said}");
    }
    Ok(())
}

/// A way to there on which what a client says arrives octet by octet; it ends with the test.
fn in_octets(to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(to) else {
                return;
            };
            let _ = server.set_nodelay(true);
            if let (Ok(mut from), Ok(mut back)) = (server.try_clone(), client.try_clone()) {
                std::thread::spawn(move || std::io::copy(&mut from, &mut back));
            }
            std::thread::spawn(move || {
                for octet in BufReader::new(client)
                    .bytes()
                    .map_while(std::io::Result::ok)
                {
                    if (&server).write_all(&[octet]).is_err() {
                        break;
                    }
                }
                server.shutdown(Shutdown::Write)
            });
        }
    });
    Ok(address)
}

/// A hello that comes byte by byte is waited for; what is none ends as ever.
#[test]
fn a_hello_in_pieces_decides_too() -> Result<()> {
    let scene = Scene::new()?;
    let server = Server::start(Manner::Mail)?;
    let (proxy, to) = scene.start(Program::Posthouse, &server)?;
    let mut client = testkit::client::Client::connect(to)?;
    client.send(b"EHLO there\r\n")?;
    ensure!(
        client
            .rest()
            .unwrap_or_default()
            .first()
            .is_none_or(|first| *first == 0x15)
    );
    proxy
        .output
        .wait_for("fe/2: SSL handshake failure (not TLS, or broken)")?;
    let said = seen(in_octets(to)?, &["-servername", "old.example.com"])?;
    ensure!(
        said.contains("New, TLSv1.2,") && said.ends_with("served"),
        "{said}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_is_told_with_its_line() -> Result<()> {
    for (options, why) in [
        (
            "[ocsp-update on]",
            "'ocsp-update' is not supported by Posthouse yet for one certificate",
        ),
        ("[maxconn 5]", "'maxconn' is no option of one certificate"),
        ("[verify required]", "'verify' needs to know whom to trust"),
        (
            "[verify required ca-file /nowhere.pem]",
            "cannot read '/nowhere.pem'",
        ),
        ("[ssl-min-ver TLSv1.3", "']' is missing"),
    ] {
        let mut scene = Scene::new()?;
        let file = scene.authority.issue("mx.pem", &Order::default())?;
        scene.list += &format!("{} {options}\n", file.display());
        let server = Server::start(Manner::Mail)?;
        let Err(error) = scene.start(Program::Posthouse, &server) else {
            anyhow::bail!("{options} was taken");
        };
        let said = format!("{error:#}");
        ensure!(
            said.contains(why) && said.contains("list:8': "),
            "{options}: {said}"
        );
    }
    Ok(())
}
