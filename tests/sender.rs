//! A Postfix that sends within TLS alone: it must never notice that servers die behind the proxy.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testkit::client::Client;
use testkit::fault::copies;
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};
use testkit::tls::{Authority, Order};
use testkit::wait_until;

/// Messages, where `SENDER_MESSAGES` says nothing.
const MESSAGES: usize = 250;

/// Messages of a round: its fault strikes in the middle.
const ROUND: usize = 125;

/// Of a round: those whose sessions wait in the middle of their dialogue with the primary when the fault strikes.
const CAUGHT: usize = 20;

/// The primary thinks about the recipient of such a message until long after the fault.
const PONDERS: &str =
    "smtpd_recipient_restrictions = check_sender_access inline:{{slow@example.org = sleep 20}}\n";

/// Delivers to the proxy, and takes nothing but a certificate of that authority with the proxy's name.
fn sending(ca: &str) -> String {
    format!(
        "virtual_mailbox_domains =
mynetworks = 192.168.1.0/24
relayhost = [{}]:25
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mx.example.com
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
initial_destination_concurrency = 40
default_destination_concurrency_limit = 40
",
        Host::Lb.ip()
    )
}

fn proxied(crt: &str, ca: &str) -> String {
    let server = format!("check starttls ca-file {ca} verifyhost mail.example.com");
    format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    log stdout format raw local0

defaults
    mode smtp
    log global
    option tcplog
    timeout connect 5s

frontend fe
    bind *:25 starttls required crt {crt}
    smtp-name mx.example.com
    default_backend be

backend be
    option smtpchk EHLO mx.example.com
    server mail1 {}:25 {server}
    server mail2 {}:25 {server} backup
",
        Host::Mail1.ip(),
        Host::Mail2.ip()
    )
}

/// Everything in its place.
struct Scene<'l> {
    lab: &'l Lab,
    sender: Postfix<'l>,
    mails: [Postfix<'l>; 2],
    proxy: Proxy,
}

impl Scene<'_> {
    /// Puts messages of these numbers into the sender's queue.
    fn queue(&self, numbers: std::ops::Range<usize>, from: &str) -> Result<()> {
        self.lab.on(Host::Client, || {
            let to: SocketAddr = (Host::Client.ip(), 25).into();
            let (mut client, _) = Client::greeted(to)?;
            client.command("EHLO submitter.example.org")?;
            for number in numbers {
                for (command, expected) in [
                    (format!("MAIL FROM:<{from}>"), "250"),
                    ("RCPT TO:<inbox@example.com>".to_owned(), "250"),
                    ("DATA".to_owned(), "354"),
                    (
                        format!("Subject: {}\r\n\r\nHello.\r\n.", mark(number)),
                        "250",
                    ),
                ] {
                    let reply = client.command(&command)?;
                    ensure!(reply.starts_with(expected), "{command}: {reply}");
                }
            }
            client.command("QUIT").map(drop)
        })
    }

    /// Messages that the sender knows to be delivered.
    fn sent(&self) -> usize {
        let log = self.sender.log().unwrap_or_default();
        log.matches(" status=sent ").count()
    }

    fn wait_until_sent(&self, all: usize) -> Result<()> {
        wait_until(&format!("{all} are sent"), || self.sent() >= all).with_context(|| {
            let log = self.sender.log().unwrap_or_default();
            format!(
                "{} are\n{log}\n{}",
                self.sent(),
                self.proxy.output.lines().join("\n")
            )
        })
    }

    /// A round: mail flows, a fault strikes, mail flows, the primary is back, mail flows.
    fn round(&self, begin: usize, frozen: bool) -> Result<()> {
        let (primary, backup) = (&self.mails[0], &self.mails[1]);
        let end = begin + ROUND;
        let third = (ROUND - CAUGHT) / 3;
        let caught = begin + third + CAUGHT;
        self.queue(begin..begin + third, "a@example.org")?;
        self.wait_until_sent(begin + third)?;
        self.queue(begin + third..caught, "slow@example.org")?;
        let open = CAUGHT.to_string();
        self.proxy.wait_for_stat("be", "mail1", "scur", &open)?;
        match frozen {
            true => primary.freeze(true)?,
            false => primary.kill()?,
        }
        self.queue(caught..caught + third, "a@example.org")?;
        self.wait_until_sent(caught + third)?;
        ensure!(backup.delivered().len() >= third, "who took them?");
        match frozen {
            true => primary.freeze(false)?,
            false => primary.resume()?,
        }
        self.proxy.wait_for_status("be", "mail1", "UP")?;
        self.queue(caught + third..end, "a@example.org")?;
        self.wait_until_sent(end)
    }
}

fn mark(number: usize) -> String {
    format!("relayed-{number:05}-end")
}

#[test]
fn a_postfix_that_sends_notices_nothing() -> Result<()> {
    let messages = match std::env::var("SENDER_MESSAGES") {
        Ok(text) => text.parse().context("SENDER_MESSAGES is no number")?,
        Err(_) => MESSAGES,
    };
    let rounds = messages / ROUND;
    let (lab, authority) = (Lab::new()?, Authority::new()?);
    let ca = lab.directory().join("ca.pem");
    std::fs::copy(authority.ca(), &ca)?;
    let ca = ca.display().to_string();
    let own = authority.issue("mx.pem", &Order::default())?;
    let names = ["mail.example.com"];
    let pem = authority.pem(&Order {
        names: &names,
        ..Order::default()
    })?;
    let scene = Scene {
        lab: &lab,
        sender: Postfix::start_with(&lab, Host::Client, &sending(&ca), "")?,
        mails: [
            Postfix::start_within_tls(&lab, Host::Mail1, &pem, PONDERS)?,
            Postfix::start_within_tls(&lab, Host::Mail2, &pem, "")?,
        ],
        proxy: Proxy::start_on(
            &lab,
            Host::Lb,
            Program::Posthouse,
            &proxied(&own.display().to_string(), &ca),
        )?,
    };
    scene.proxy.wait_for_status("be", "mail1", "UP")?;
    for round in 0..rounds {
        scene.round(round * ROUND, round % 2 == 1)?;
    }
    let all = rounds * ROUND;
    let filed = || scene.mails.each_ref().map(Postfix::delivered).concat();
    let wrong = || {
        let filed = filed();
        let copies = (0..all).map(|number| (number, copies(&filed, &mark(number))));
        copies
            .filter(|(_, copies)| *copies != 1)
            .collect::<Vec<_>>()
    };
    // What is missing after that is lost.
    let _ = wait_until("all are filed", || filed().len() >= all);
    ensure!(wrong().is_empty(), "lost or doubled: {:?}", wrong());
    let log = scene.sender.log()?;
    let odd = |line: &&str| line.contains("status=") && !line.contains("status=sent");
    let odd: Vec<_> = log.lines().filter(odd).collect();
    ensure!(odd.is_empty(), "{}", odd.join("\n"));
    ensure!(scene.sent() == all, "{} of {all}", scene.sent());
    let within = log
        .matches("Verified TLS connection established to ")
        .count();
    ensure!(within >= all, "{within} of {all} within TLS");
    // Those that were with the primary when the fault struck were taken by the backup, in the same session.
    let told = scene.proxy.output.lines();
    let carried = |line: &&String| line.contains("be/mail2 mail ") && line.contains("slow@");
    let carried = told.iter().filter(carried).count();
    ensure!(
        carried == rounds * CAUGHT,
        "{carried} were carried over:\n{}",
        told.join("\n")
    );
    Ok(())
}
