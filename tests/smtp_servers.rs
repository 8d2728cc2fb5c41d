//! Other servers than Postfix behind `mode smtp`: Exim and OpenSMTPD, each with ideas of its own about what ends a message.

use anyhow::{Result, ensure};
use testkit::client::Client;
use testkit::lab::{Host, Lab};
use testkit::mta::{Kind, Mta};
use testkit::proxy::{Program, Proxy};
use testkit::wait_until;

use crate::smtp_edge::SMUGGLED;

/// The proxy with Exim in front and OpenSMTPD as backup, or with one of them alone.
fn proxy(lab: &Lab, servers: &str) -> Result<Proxy> {
    let text = format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    log stdout format raw local0
defaults
    mode smtp
    log global
    option tcplog
    timeout connect 5s
frontend smtp_inbound
    bind {}:25
    smtp-name mx.example.net
    default_backend mail_servers
backend mail_servers
    option smtpchk EHLO mx.example.net
    default-server check inter 200ms
    {servers}
",
        Host::Lb.ip()
    );
    let proxy = Proxy::start_on(lab, Host::Lb, Program::Posthouse, &text)?;
    for line in servers.lines() {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        proxy.wait_for_first_check("mail_servers", name)?;
    }
    Ok(proxy)
}

fn says(client: &mut Client, command: &str, hope: &str) -> Result<()> {
    let reply = client.command(command)?;
    ensure!(reply.starts_with(hope), "{command:.30}: {reply}");
    Ok(())
}

/// The last line of the next reply.
fn reply(client: &mut Client) -> Result<String> {
    loop {
        let line = client.line()?;
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

/// A client of the lab, greeted.
fn greeted(lab: &Lab) -> Result<Client> {
    let (mut client, _) = lab.on(Host::Client, || Client::greeted((Host::Lb.ip(), 25).into()))?;
    says(&mut client, "EHLO client.example.org", "250")?;
    Ok(client)
}

fn within_data(lab: &Lab) -> Result<Client> {
    let mut client = greeted(lab)?;
    says(&mut client, "MAIL FROM:<a@example.org>", "250")?;
    says(&mut client, "RCPT TO:<inbox@example.com>", "250")?;
    says(&mut client, "DATA", "354")?;
    Ok(client)
}

/// The dialogue in its ways, and each form of smuggling; one message comes out of each, and no second one.
fn speaks_and_smuggles_nothing(kind: Kind) -> Result<()> {
    let lab = Lab::new()?;
    let mta = Mta::start(&lab, Host::Mail1, kind)?;
    let _proxy = proxy(&lab, &format!("server mail1 {}:25", Host::Mail1.ip()))?;

    // Pipelined, whether the server can that or not; a transaction given up; one that is refused.
    let mut client = greeted(&lab)?;
    client.send(
        "MAIL FROM:<a@example.org>\r\nRSET\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<inbox@example.com>\r\n\
         RCPT TO:<second@example.com>\r\nNOOP\r\nVRFY inbox@example.com\r\nFOO\r\nDATA\r\n",
    )?;
    // VRFY is answered as the server likes.
    let hopes = ["250", "250", "250", "250", "250", "250", "", "50", "354"];
    for hope in hopes {
        let reply = reply(&mut client)?;
        ensure!(reply.starts_with(hope), "{kind:?}, {hope}: {reply}");
    }
    says(
        &mut client,
        "Subject: plain-1\r\n\r\n..\r\nHello.\r\n.",
        "250",
    )?;
    if kind == Kind::Exim {
        says(&mut client, "MAIL FROM:<a@example.org>", "250")?;
        says(&mut client, "RCPT TO:<inbox@example.com>", "250")?;
        let chunk = "Subject: chunks-1\r\n\r\n";
        says(
            &mut client,
            &format!("BDAT {}\r\n{chunk}BDAT 7 LAST\r\nHello", chunk.len()),
            "250",
        )?;
        let last = reply(&mut client)?;
        ensure!(last.starts_with("250"), "{last}");
    }
    says(&mut client, "QUIT", "221")?;

    for (number, end) in SMUGGLED.iter().enumerate() {
        let mut client = within_data(&lab)?;
        client.send(format!(
            "Subject: outer-{number}-\r\n\r\ntext{end}MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\n\
             Subject: smuggled\r\n\r\nx\r\n.\r\n"
        ))?;
        // A server may refuse it for what is in it, NUL for one; it may not take two.
        let reply = reply(&mut client)?;
        ensure!(
            reply.starts_with("250") || reply.starts_with('5'),
            "{end:?}: {reply}"
        );
        says(&mut client, "QUIT", "221")?;
        let queue = mta.queue();
        let envelopes = queue
            .iter()
            .filter(|text| text.contains("victim@example.com"));
        let smuggled = envelopes.filter(|text| !text.contains("RCPT TO:<victim@example.com>"));
        ensure!(
            smuggled.count() == 0,
            "{kind:?}: {end:?} has smuggled a message"
        );
        let outer = queue
            .iter()
            .filter(|text| text.contains(&format!("outer-{number}-")));
        ensure!(
            outer.count() == usize::from(reply.starts_with('2')),
            "{end:?}: {reply}"
        );
    }
    Ok(())
}

#[test]
fn exim_speaks_and_nothing_is_smuggled() -> Result<()> {
    speaks_and_smuggles_nothing(Kind::Exim)
}

#[test]
fn opensmtpd_speaks_and_nothing_is_smuggled() -> Result<()> {
    speaks_and_smuggles_nothing(Kind::OpenSmtpd)
}

/// From one kind of server to another, in the middle of a message: what was promised is what both can.
#[test]
fn a_message_begins_with_exim_and_ends_with_opensmtpd() -> Result<()> {
    let lab = Lab::new()?;
    let exim = Mta::start(&lab, Host::Mail1, Kind::Exim)?;
    let opensmtpd = Mta::start(&lab, Host::Mail2, Kind::OpenSmtpd)?;
    let servers = format!(
        "server mail1 {}:25\n    server mail2 {}:25 backup",
        Host::Mail1.ip(),
        Host::Mail2.ip()
    );
    let proxy = proxy(&lab, &servers)?;
    let mut client = within_data(&lab)?;
    client.send("Subject: carried-1\r\n\r\nBegins with one")?;
    exim.kill()?;
    says(&mut client, ", ends with another.\r\n.", "250")?;
    says(&mut client, "QUIT", "221")?;
    let line = proxy.output.wait_for(" mail id=")?;
    ensure!(
        line.contains("mail_servers/mail2") && line.contains("moves=mail1:S6:"),
        "{line}"
    );
    let carried = |text: &String| text.contains("Begins with one, ends with another.");
    wait_until("it is in the queue", || {
        opensmtpd.queue().iter().any(carried)
    })?;
    ensure!(
        opensmtpd
            .queue()
            .iter()
            .filter(|text| carried(text))
            .count()
            == 1
    );
    ensure!(!exim.queue().iter().any(carried));
    Ok(())
}
