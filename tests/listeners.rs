//! Where a proxy can listen: every form of `bind` that mail setups use.

use std::io::{BufRead as _, BufReader};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::process::Command;

use anyhow::{Result, ensure};
use testkit::client::{Client, deliver};
use testkit::need;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

#[test]
fn several_addresses_on_a_line_and_several_lines() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let ports = [free_port()?, free_port()?, free_port()?];
    let more = format!("bind {},127.0.0.1:{} name smtp", ports[1], ports[2].port());
    let _proxy = Proxy::start(
        Program::Posthouse,
        &config(ports[0], &more, &format!("server s1 {}", server.address())),
    )?;
    for port in ports {
        deliver(port, "by any door")?;
    }
    Ok(())
}

#[test]
fn unix_sockets_by_path_and_by_name() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let name = format!("posthouse-test-{}", std::process::id());
    let binds = format!("bind unix@@dir@/mail mode 640\n    bind abns@{name}");
    let proxy = Proxy::start(
        Program::Posthouse,
        &config(
            free_port()?,
            &binds,
            &format!("server s1 {}", server.address()),
        ),
    )?;
    let path = proxy.directory().join("mail");
    let mode = std::fs::metadata(&path)?.permissions().mode();
    ensure!(mode & 0o777 == 0o640, "{mode:o}");
    let hidden = UnixAddress::from_abstract_name(&name)?;
    for stream in [
        UnixStream::connect(&path)?,
        UnixStream::connect_addr(&hidden)?,
    ] {
        stream.set_read_timeout(Some(testkit::PATIENCE))?;
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting)?;
        ensure!(greeting.starts_with("220 "), "{greeting:?}");
    }
    proxy.output.wait_for("unix:")?;
    Ok(())
}

/// As systemd hands sockets over; perl is on every Debian.
#[test]
fn a_socket_that_was_open_before() -> Result<()> {
    need("perl", "perl-base")?;
    let server = Server::start(Manner::Mail)?;
    let port = free_port()?;
    let open = format!(
        "use Socket; $^F = 255; socket(S, PF_INET, SOCK_STREAM, 0) or die $!;
         setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); bind(S, sockaddr_in({}, INADDR_LOOPBACK)) or die $!;
         listen(S, 9) or die $!; $ENV{{INHERITED}} = fileno(S); exec @ARGV",
        port.port()
    );
    let mut command = Command::new("perl");
    command.arg("-e").arg(open).arg(Program::Posthouse.path()?);
    let text = config(
        free_port()?,
        "bind \"fd@${INHERITED}\"",
        &format!("server s1 {}", server.address()),
    );
    let _proxy = Proxy::start_by(command, &text)?;
    deliver(port, "through an old door")?;
    Ok(())
}

#[test]
fn a_frontend_may_take_both_families() -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let port = free_port()?.port();
    let _proxy = Proxy::start(
        Program::Posthouse,
        &config(
            free_port()?,
            &format!("bind :::{port} v4v6"),
            &format!("server s1 {}", server.address()),
        ),
    )?;
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        Client::greeted(address.parse()?)?;
    }
    Ok(())
}
