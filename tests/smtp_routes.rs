//! `use_backend` in `mode smtp`: mail is read whatever rule has chosen the backend, and by that backend's own settings.

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::{config, free_port};

/// What a server says until it has 354 out.
fn said_until_data() -> Result<usize> {
    let immortal = Server::start(Manner::Dies {
        heard: usize::MAX,
        said: usize::MAX,
    })?;
    let mut client = Client::connect(immortal.address())?;
    client
        .send("EHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<inbox@example.com>\r\nDATA\r\n")?;
    let mut said = 0;
    loop {
        let line = client.line()?;
        said += line.len() + 2;
        if line.starts_with("354") {
            return Ok(said);
        }
    }
}

/// Each server dies with a whole message in its hands: one backend has it sent again, the other does not.
#[test]
fn a_session_has_the_settings_of_its_backend() -> Result<()> {
    let dies = Manner::Dies {
        heard: usize::MAX,
        said: said_until_data()?,
    };
    let (one, two) = (Server::start(dies.clone())?, Server::start(dies)?);
    let good = Server::start(Manner::Mail)?;
    let (bold, careful, by_default) = (free_port()?, free_port()?, free_port()?);
    let text = config(
        bold,
        &format!(
            "smtp-name mx.example.net\n    bind {careful}\n    use_backend bold if {{ dst_port {} }}\n    use_backend careful",
            bold.port()
        ),
        &format!("server s1 {}", good.address()),
    );
    let text = text
        .replace("default_backend be", "")
        .replace("mode tcp", "mode smtp")
        + &format!(
            "\nbackend bold\n    option smtp-replay-after-data\n    server s1 {}\n    server s2 {good} backup\n\
             \nbackend careful\n    server s1 {}\n    server s2 {good} backup\n\
             \nlisten neither\n    bind {by_default}\n    server s1 {good}\n",
            one.address(),
            two.address(),
            good = good.address(),
        );
    let _proxy = Proxy::start(Program::Posthouse, &text)?;
    for (front, expected) in [(bold, "250"), (careful, "451 4.4.2"), (by_default, "250")] {
        let (mut client, greeting) = Client::greeted(front)?;
        let name = greeting.starts_with("220 mx.example.net ") || front == by_default;
        ensure!(name, "{greeting}");
        let reply = client.message("by its backend")?;
        ensure!(reply.starts_with(expected), "{front}: {reply}");
    }
    Ok(())
}
