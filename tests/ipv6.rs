//! A whole run over IPv6: clients, proxy and two Postfix.

use anyhow::{Result, ensure};
use testkit::client::deliver;
use testkit::lab::{Host, Lab};
use testkit::postfix::Postfix;
use testkit::proxy::{Program, Proxy};

#[test]
fn mail_flows_and_fails_over() -> Result<()> {
    let lab = Lab::new()?;
    let (mail1, mail2) = (
        Postfix::start(&lab, Host::Mail1)?,
        Postfix::start(&lab, Host::Mail2)?,
    );
    let configuration = format!(
        "global
    stats socket @dir@/socket level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend smtp_inbound
    bind :::25 v6only
    default_backend mail_servers
backend mail_servers
    option tcp-check
    tcp-check connect port 25
    tcp-check expect string \"220 \"
    stick-table type ipv6 size 10k expire 30m
    stick on src
    server mail1 {}:25 check inter 300ms
    server mail2 {}:25 check inter 300ms backup
",
        Host::Mail1.ipv6(),
        Host::Mail2.ipv6()
    );
    let proxy = Proxy::start_on(&lab, Host::Lb, Program::Posthouse, &configuration)?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    let to = (Host::Lb.ipv6(), 25).into();
    lab.on(Host::Client, || deliver(to, "six-one"))?;
    mail1.wait_for_message("six-one")?;
    let table = proxy.ask("show table mail_servers")?;
    ensure!(
        table.contains(&format!("key={} ", Host::Client.ipv6())),
        "{table}"
    );
    mail1.kill()?;
    proxy.wait_for_status("mail_servers", "mail1", "DOWN")?;
    lab.on(Host::Client, || deliver(to, "six-two"))?;
    mail2.wait_for_message("six-two")?;
    ensure!(mail1.delivered().len() == 1 && mail2.delivered().len() == 1);
    Ok(())
}
