//! `tcp-request` and `use_backend`: the same clients get the same servers, ends and numbers from Debian's HAProxy and
//! from Posthouse.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port, same_answers, told};

/// A ClientHello that asks for a name, and offers these protocols.
fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
    let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let list: Vec<u8> = protocols
        .iter()
        .flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat())
        .collect();
    let mut extensions = Vec::new();
    if !name.is_empty() {
        let entry = [&[0][..], &counted(name.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &counted(&counted(&entry))].concat());
    }
    if !list.is_empty() {
        extensions.extend([&[0, 16][..], &counted(&counted(&list))].concat());
    }
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend(counted(&extensions));
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

/// What a client hears that says this, in two pieces, and no more; and how its connection ends.
fn says(front: SocketAddr, words: &[u8]) -> Result<String> {
    let mut client = TcpStream::connect(front)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    client.set_nodelay(true)?;
    let (first, second) = words.split_at(words.len() / 2);
    let _ = client.write_all(first);
    testkit::pause(Duration::from_millis(20));
    let _ = client.write_all(second);
    let _ = client.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    Ok(match client.read_to_end(&mut said) {
        Ok(_) => String::from_utf8_lossy(&said).into_owned(),
        Err(error) => format!("{:?}", error.kind()),
    })
}

/// A frontend `fe` with these lines in front of three backends that say who they are.
struct Crossing {
    _servers: [Server; 3],
    proxy: Proxy,
    front: SocketAddr,
}

impl Crossing {
    fn start(program: Program, frontend: &str, default: &str) -> Result<Self> {
        let says = |name: &str| Server::start(Manner::Says(name.as_bytes().to_vec()));
        let servers = [says("be")?, says("one")?, says("two")?];
        let front = free_port()?;
        let text = format!(
            "{}\n    server s1 {}\n\nbackend one\n    server s1 {}\n\nbackend two\n    server s1 {}\n",
            config(front, frontend, default).trim_end(),
            servers[0].address(),
            servers[1].address(),
            servers[2].address()
        );
        let proxy = Proxy::start(program, &text)?;
        Ok(Self {
            _servers: servers,
            proxy,
            front,
        })
    }
}

const WAIT: &str = "tcp-request inspect-delay 5s
    tcp-request content accept if { req.ssl_hello_type 1 }
    tcp-request content accept if WAIT_END";

#[test]
fn the_name_in_a_hello_chooses_the_backend_as_in_haproxy() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let list = directory.path().join("names");
    std::fs::write(&list, "# ours\nlist.example.com\n\nother.example.com\n")?;
    let rules = [
        "use_backend one if { req.ssl_sni one.example.com }".to_owned(),
        "use_backend one if { req_ssl_sni -i one.example.com }".to_owned(),
        "use_backend one if { req.ssl_sni -m end .example.com }".to_owned(),
        "use_backend one if { req.ssl_sni -m beg one. } or { req.ssl_sni -m sub two }".to_owned(),
        "use_backend one if { req.ssl_sni -m dom example }".to_owned(),
        "use_backend one if { req.ssl_sni -m reg ^(one|list)[.] }".to_owned(),
        format!("use_backend one if {{ req.ssl_sni -f {} }}", list.display()),
        "use_backend one if { req.ssl_sni -m found }\n    use_backend two unless { req.ssl_hello_type 1 }".to_owned(),
        "acl a req.ssl_sni one.example.com\n    acl a req.ssl_sni two.example.com\n    acl b src 127.0.0.0/8\n    use_backend one if a b\n    use_backend two if !a".to_owned(),
        "use_backend two if { req.len lt 20 }\n    use_backend one if { src_port gt 0 } { dst 127.0.0.1 } REQ_CONTENT".to_owned(),
        "use_backend one if { req.ssl_alpn smtp }\n    use_backend two".to_owned(),
        "use_backend one if { nbsrv(two) eq 1 } !{ nbsrv(two) gt 1 }".to_owned(),
    ];
    let clients = [
        hello("one.example.com", &[]),
        hello("ONE.Example.Com", &["smtp", "imap"]),
        hello("two.example.com", &["smtp"]),
        hello("list.example.com", &[]),
        hello("", &[]),
        b"EHLO one.example.com\r\n".to_vec(),
    ];
    let mut heard = [Vec::new(), Vec::new()];
    for (program, heard) in [Program::Haproxy, Program::Posthouse]
        .into_iter()
        .zip(&mut heard)
    {
        for rule in &rules {
            let crossing = Crossing::start(program, &format!("{WAIT}\n    {rule}"), "")?;
            for (place, client) in clients.iter().enumerate() {
                heard.push(format!(
                    "{rule}: client {place} at {}",
                    says(crossing.front, client)?
                ));
            }
        }
    }
    same_answers(&heard[0], &heard[1])
}

/// TLS may cut a hello into records anywhere; HAProxy 2.6 reads it in one alone.
#[test]
fn a_hello_in_two_records_is_read() -> Result<()> {
    let whole = hello("one.example.com", &[]);
    let record = |part: &[u8]| {
        let length = (part.len() as u16).to_be_bytes();
        [&whole[..3], &length, part].concat()
    };
    let (first, second) = whole[5..].split_at(20);
    let cut = [record(first), record(second)].concat();
    let rules = format!("{WAIT}\n    use_backend one if {{ req.ssl_sni one.example.com }}");
    for program in [Program::Haproxy, Program::Posthouse] {
        let crossing = Crossing::start(program, &rules, "")?;
        let same = says(crossing.front, &whole)? == says(crossing.front, &cut)?;
        ensure!(same == (program == Program::Posthouse), "{program:?}");
    }
    Ok(())
}

#[test]
fn who_is_rejected_ends_and_is_counted_as_in_haproxy() -> Result<()> {
    let cases = [
        "tcp-request connection reject if { src 127.0.0.1 }",
        "tcp-request connection accept if { src 127.0.0.1 }\n    tcp-request connection reject",
        "tcp-request connection reject unless { dst_port 1 }",
        "tcp-request session reject if LOCALHOST",
        "tcp-request content reject if { src 127.0.0.1 }",
        "tcp-request inspect-delay 300ms\n    tcp-request content reject if { req.len gt 0 }",
        "tcp-request inspect-delay 5s\n    tcp-request content reject if { req.ssl_hello_type 1 }",
        "tcp-request inspect-delay 5s\n    tcp-request content reject unless { req.ssl_hello_type 1 }",
        "tcp-request inspect-delay 5s\n    tcp-request content accept if { req.ssl_sni a }\n    tcp-request content reject",
    ];
    let mut seen = [Vec::new(), Vec::new()];
    for (program, seen) in [Program::Haproxy, Program::Posthouse]
        .into_iter()
        .zip(&mut seen)
    {
        for rules in cases {
            let crossing = Crossing::start(program, rules, "")?;
            for words in [&b"EHLO x\r\n"[..], &hello("a", &[])] {
                seen.push(format!("{rules}: {}", says(crossing.front, words)?));
            }
            let front = ["dreq", "dcon", "dses", "stot", "conn_tot"];
            for column in front {
                let number = crossing.proxy.stat("fe", "FRONTEND", column)?;
                seen.push(format!("{rules}: {column} {number}"));
            }
            if rules.contains("content") || rules.contains("connection accept") {
                crossing.proxy.output.wait_for_nth(" fe ", 2)?;
            }
            let lines = crossing.proxy.output.lines();
            let told = lines
                .iter()
                .filter(|line| line.contains(" fe "))
                .map(|line| told(line));
            seen.push(format!("{rules}: {:?}", told.collect::<Vec<_>>()));
        }
    }
    same_answers(&seen[0], &seen[1])
}

#[test]
fn a_backend_has_rules_of_its_own() -> Result<()> {
    let rules = "tcp-request inspect-delay 5s
    tcp-request content reject if { req.ssl_sni -m sub bad }
    tcp-request content accept if { req.ssl_hello_type 1 }";
    let mut seen = [Vec::new(), Vec::new()];
    for (program, seen) in [Program::Haproxy, Program::Posthouse]
        .into_iter()
        .zip(&mut seen)
    {
        let crossing = Crossing::start(program, "", rules)?;
        for name in ["good", "bad.example"] {
            seen.push(says(crossing.front, &hello(name, &[]))?);
        }
        for (proxy, row) in [("fe", "FRONTEND"), ("be", "BACKEND")] {
            seen.push(crossing.proxy.stat(proxy, row, "dreq")?);
        }
    }
    same_answers(&seen[0], &seen[1])
}

#[test]
fn a_greet_delay_catches_who_speaks_first() -> Result<()> {
    let rules =
        "tcp-request inspect-delay 400ms\n    tcp-request content reject if { req.len gt 0 }";
    let crossing = Crossing::start(Program::Posthouse, rules, "")?;
    let begun = Instant::now();
    let mut client = TcpStream::connect(crossing.front)?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    ensure!(
        begun.elapsed() >= Duration::from_millis(400),
        "{:?}",
        begun.elapsed()
    );
    ensure!(&greeting == b"be");
    drop(client);
    ensure!(says(crossing.front, b"EHLO bot\r\n")?.is_empty());
    crossing.proxy.output.wait_for(" PR ")?;
    Ok(())
}

#[test]
fn what_is_written_wrong_is_refused_as_by_haproxy() -> Result<()> {
    let lines = [
        "tcp-request",
        "tcp-request foo",
        "tcp-request inspect-delay",
        "tcp-request inspect-delay x",
        "tcp-request inspect-delay 5s",
        "tcp-request content",
        "tcp-request content foo",
        "tcp-request content accept junk",
        "tcp-request content accept if nobody",
        "tcp-request content accept if { src 10.0.0.1",
        "tcp-request connection accept if { src nowhere }",
        "tcp-request connection reject if { src -f /no/such/file }",
        "tcp-request connection reject if { req.len gt 0 }",
        "tcp-request session reject if { req.ssl_sni x }",
        "use_backend",
        "use_backend nobody",
        "use_backend be junk",
        "use_backend be if { req.ssl_sni -m foo x }",
        "use_backend be if { req.ssl_hello_type x }",
        "use_backend be if { req.ssl_sni x }\n    tcp-request content accept",
        "tcp-request content accept\n    tcp-request connection accept",
    ];
    let directory = tempfile::tempdir()?;
    let mut said = [Vec::new(), Vec::new()];
    for (program, said) in [Program::Haproxy, Program::Posthouse]
        .into_iter()
        .zip(&mut said)
    {
        for line in lines {
            let file = directory.path().join("cfg");
            let text = config(free_port()?, line, "server s1 127.0.0.1:1");
            std::fs::write(&file, text.replace("@dir@", "/tmp"))?;
            let output = program.command()?.arg("-c").arg("-f").arg(&file).output()?;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let warned = told.contains("[WARNING]") && output.status.success();
            said.push(format!("{line}: {} {warned}", output.status.success()));
        }
        // Rules in defaults without a name, and where nobody connects.
        for text in [
            "defaults\n tcp-request content accept\n",
            "defaults\n acl a src 10.0.0.1\n",
            "defaults x\n tcp-request content accept\n",
            "backend b\n tcp-request connection reject\n",
            "backend b\n tcp-request content reject\n",
        ] {
            let file = directory.path().join("cfg");
            let whole = config(free_port()?, "", "server s1 127.0.0.1:1").replace("@dir@", "/tmp");
            std::fs::write(&file, format!("{text}{whole}"))?;
            let output = program.command()?.arg("-c").arg("-f").arg(&file).output()?;
            said.push(format!("{text}: {}", output.status.success()));
        }
    }
    same_answers(&said[0], &said[1])
}
