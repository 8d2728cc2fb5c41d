//! What a PROXY header of version 2 tells beside addresses, byte for byte as Debian's HAProxy tells it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::tls::{Authority, Client, Kind, Order};
use testkit::{PATIENCE, client, wait_until};

use crate::support::{config, free_port, same_answers};

/// A server that reads headers.
struct Reader(TcpListener);

impl Reader {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// The next connection's header, and the connection.
    fn header(&self) -> Result<(Vec<u8>, TcpStream)> {
        let mut taken = None;
        wait_until("a connection", || {
            taken = self.0.accept().ok();
            taken.is_some()
        })?;
        let (mut stream, _) = taken.context("nobody")?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut header = vec![0; 16];
        stream.read_exact(&mut header)?;
        ensure!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "{header:?}");
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        header.resize(16 + rest, 0);
        stream.read_exact(&mut header[16..])?;
        Ok((header, stream))
    }
}

/// Without what differs from one connection to the next: the ports, and with them the checksum, which is the first
/// field where there is one.
fn common(mut header: Vec<u8>) -> String {
    if header[13] == 0x11 {
        header[24..28].fill(0);
        if header.get(28) == Some(&3) {
            header[31..35].fill(0);
        }
    }
    header.escape_ascii().to_string()
}

const ALL: &str = "send-proxy-v2 proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,authority,crc32c,unique-id";

/// What servers are told, by options, kind of client, and where TLS ends.
#[test]
fn servers_are_told_what_haproxy_tells_them() -> Result<()> {
    let authority = Authority::new()?;
    let order = |names, kind| Order {
        names,
        kind,
        ..Order::default()
    };
    let ecdsa = authority.issue("ecdsa.pem", &order(&["mx.example.com"], Kind::Ecdsa))?;
    let rsa = authority.issue("rsa.pem", &order(&["mx.example.com"], Kind::Rsa))?;
    let own = authority.issue("own.pem", &order(&["client.example.com"], Kind::Ecdsa))?;
    let (ecdsa, rsa, own) = (ecdsa.display(), rsa.display(), own.display().to_string());
    let asks = format!(
        "verify optional ca-file {} alpn smtp,other",
        authority.ca().display()
    );
    let old = format!("ssl crt {ecdsa} {asks} ssl-max-ver TLSv1.2");
    let new = format!("ssl crt {rsa} {asks} ssl-min-ver TLSv1.3");
    let sessions = authority.directory().join("session").display().to_string();
    let shown = ["-cert", &own, "-key", &own];
    let first: &[&str] = &[&shown[..], &["-sess_out", &sessions]].concat();
    let again: &[&str] = &[&shown[..], &["-sess_in", &sessions]].concat();
    let named: &[&str] = &[
        &shown[..],
        &["-servername", "mx.example.com", "-alpn", "smtp"],
    ]
    .concat();
    // Where TLS ends, what the server is told, and the clients that come; without TLS one.
    let cases: [(&str, &str, &[&[&str]]); 9] = [
        ("", "send-proxy-v2", &[]),
        ("", "send-proxy-v2-ssl", &[]),
        ("", ALL, &[]),
        (&old, "send-proxy-v2-ssl", &[&[]]),
        (&old, "send-proxy-v2-ssl-cn", &[&[], first, again]),
        (&old, ALL, &[&[], named]),
        (&new, "send-proxy-v2", &[named]),
        (&new, ALL, &[&[], named, first, again]),
        (
            &new,
            "send-proxy send-proxy-v2-ssl-cn no-send-proxy",
            &[first],
        ),
    ];
    let told = |program| -> Result<Vec<String>> {
        let reader = Reader::start()?;
        let mut text = String::from(
            "global\n    stats socket @dir@/socket\ndefaults\n    mode tcp\n    timeout connect 20s\n    timeout client 20s\n    timeout server 20s\n",
        );
        let mut fronts = Vec::new();
        for (number, (bind, options, _)) in cases.iter().enumerate() {
            let front = free_port()?;
            text += &format!(
                "listen l{number}\n    bind {front} {bind}\n    server s1 {} {options}\n",
                reader.address()?
            );
            fronts.push(front);
        }
        let _proxy = Proxy::start(program, &text)?;
        let mut told = Vec::new();
        for ((bind, options, clients), front) in cases.iter().zip(fronts) {
            let mut tell = |header| told.push(format!("{bind} {options}: {}", common(header)));
            if clients.is_empty() {
                let _client = client::Client::connect(front)?;
                tell(reader.header()?.0);
            }
            for arguments in *clients {
                let mut client = Client::connect(front, arguments)?;
                let (header, mut server) = reader.header()?;
                tell(header);
                // With the greeting it has its ticket.
                server.write_all(b"220 there\r\n")?;
                ensure!(client.line()? == "220 there", "{arguments:?}");
            }
        }
        Ok(told)
    };
    let (theirs, ours) = (told(Program::Haproxy)?, told(Program::Posthouse)?);
    ensure!(
        theirs
            .iter()
            .any(|line| line.contains("client.example.com"))
    );
    same_answers(&theirs, &ours)
}

/// What a check sends: LOCAL, and no client with TLS.
#[test]
fn checks_say_local_and_the_rest() -> Result<()> {
    let told = |program| -> Result<Vec<String>> {
        let mut told = Vec::new();
        for (options, backend) in [
            (ALL, ""),
            ("send-proxy-v2-ssl check-send-proxy addr 127.0.0.1", ""),
            (ALL, "option tcp-check\n    tcp-check connect send-proxy"),
            (ALL, "option tcp-check\n    tcp-check connect default"),
        ] {
            let reader = Reader::start()?;
            let server = format!(
                "{backend}\n    server s1 {} check {options}",
                reader.address()?
            );
            let text = config(free_port()?, "", &server);
            let _proxy = Proxy::start(program, &text)?;
            let header = reader.header()?.0;
            told.push(format!("{options} {backend}: {}", common(header)));
        }
        Ok(told)
    };
    same_answers(&told(Program::Haproxy)?, &told(Program::Posthouse)?)
}

/// A proxy that takes headers, with its servers' options.
fn taking(program: Program, server: SocketAddr, options: &str) -> Result<(Proxy, SocketAddr)> {
    let front = free_port()?;
    let text = config(front, "", &format!("server s1 {server} {options}"));
    let text = text.replace(
        &format!("bind {front}"),
        &format!("bind {front} accept-proxy"),
    );
    Ok((Proxy::start(program, &text)?, front))
}

/// HAProxy takes our checksum, and we take its.
#[test]
fn a_checksum_is_taken_by_the_other() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    for (first, second) in [
        (Program::Posthouse, Program::Haproxy),
        (Program::Haproxy, Program::Posthouse),
    ] {
        let (_behind, at) = taking(second, server.address(), "")?;
        let front = free_port()?;
        let text = config(front, "", &format!("server s1 {at} {ALL}"));
        let _before = Proxy::start(first, &text)?;
        deliver(front, &format!("{first:?} before {second:?}"))?;
    }
    Ok(())
}

/// A header of version 2 with these fields.
fn header(fields: &[u8]) -> Vec<u8> {
    let length = (12 + fields.len()) as u8;
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec();
    out.push(length);
    out.extend_from_slice(&[192, 0, 2, 8, 192, 0, 2, 25, 0x10, 0xe1, 0, 25]);
    out.extend_from_slice(fields);
    out
}

/// An authority that came with a header goes on; a wrong checksum ends it.
#[test]
fn fields_of_a_header_that_is_taken() -> Result<()> {
    let told = |program| -> Result<Vec<String>> {
        let reader = Reader::start()?;
        let options = "send-proxy-v2 proxy-v2-options authority";
        let (proxy, front) = taking(program, reader.address()?, options)?;
        let mut told = Vec::new();
        for fields in [
            &b""[..],
            b"\x02\0\x05hello",
            b"\x04\0\0\x02\0\x05hello\x02\0\x05world",
            b"\x02\0\0",
        ] {
            let mut client = client::Client::connect(front)?;
            client.send(header(fields))?;
            told.push(common(reader.header()?.0));
        }
        for fields in [&b"\x03\0\x04abcd"[..], b"\x02\0\x06hello", b"\x03\0\x02ab"] {
            let mut client = client::Client::connect(front)?;
            client.send(header(fields))?;
            ensure!(client.rest().unwrap_or_default().is_empty());
        }
        proxy.output.wait_for_nth("PROXY protocol header", 3)?;
        Ok(told)
    };
    same_answers(&told(Program::Haproxy)?, &told(Program::Posthouse)?)
}

/// In `mode smtp` a session that is moved takes its header along.
#[test]
fn a_session_that_is_moved_takes_its_header_along() -> Result<()> {
    let authority = Authority::new()?;
    let crt = authority.issue("mx.pem", &Order::default())?;
    let reader = Reader::start()?;
    let (clear, tls) = (free_port()?, free_port()?);
    let bind = format!("bind {tls} ssl crt {}", crt.display());
    let server = format!("server s1 {} {ALL}", reader.address()?);
    let text = config(clear, &bind, &server).replace("mode tcp", "mode smtp");
    let _proxy = Proxy::start(Program::Posthouse, &text)?;
    let mut client = Client::connect(tls, &["-servername", "mx.example.com"])?;
    let mut headers = Vec::new();
    for number in 0..3 {
        let (header, mut server) = reader.header()?;
        headers.push(header);
        server.write_all(b"220 there\r\n")?;
        if number == 0 {
            ensure!(client.line()?.starts_with("220 "));
            client.send(b"EHLO client.example.com\r\n")?;
        }
        // Lost with the command in hand.
        let mut line = String::new();
        BufReader::new(&server).read_line(&mut line)?;
        ensure!(line.starts_with("EHLO "), "{line}");
    }
    let said = headers[0].escape_ascii().to_string();
    ensure!(
        said.contains("TLSv1.3") && said.contains("mx.example.com"),
        "{said}"
    );
    ensure!(
        headers.iter().all(|other| *other == headers[0]),
        "{headers:?}"
    );
    Ok(())
}
