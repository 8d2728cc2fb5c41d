//! The page in a real browser: what an operator sees and does at night. One Chromium for all of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use testkit::browser::{Browser, Seen};
use testkit::client::deliver;
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};

use crate::support::free_port;

fn configuration(pages: SocketAddr, front: SocketAddr, backends: &str) -> String {
    format!(
        "global
    stats socket @dir@/socket mode 600 level admin
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    default-server inter 200ms
frontend smtp_inbound
    bind {front}
    default_backend mail_servers
{backends}
listen pages
    mode http
    bind {pages}
    stats uri /stats
    stats admin if TRUE
"
    )
}

/// What a selector shows.
fn shown(browser: &Browser, selector: &str) -> Result<String> {
    let found = browser.script(&format!(
        "return document.querySelector(`{selector}`).innerText"
    ))?;
    found
        .as_str()
        .map(str::to_owned)
        .with_context(|| selector.to_owned())
}

fn nothing_was_wrong(browser: &Browser) -> Result<()> {
    let said = browser.console()?;
    ensure!(said.is_empty(), "{said:#?}");
    Ok(())
}

const ROW: &str = "tr[data-k='s3.1'] ";

#[test]
fn an_operators_night() -> Result<()> {
    let browser = Browser::start()?;
    let servers = [Server::start(Manner::Mail)?, Server::start(Manner::Mail)?];
    let (front, pages) = (free_port()?, free_port()?);
    let backend = format!(
        "backend mail_servers\n    option smtpchk\n    server mail1 {} check\n    server mail2 {} check backup",
        servers[0].address(),
        servers[1].address()
    );
    let (third, mail) = (Server::start(Manner::Mail)?, free_port()?);
    let backend = format!(
        "{backend}
frontend mail_inbound
    mode smtp
    bind {mail}
    default_backend read_servers
backend read_servers
    mode smtp
    server mail3 {}",
        third.address()
    );
    let text = configuration(pages, front, &backend);
    let proxy = Proxy::start(Program::Posthouse, &text)?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    proxy.wait_for_status("mail_servers", "mail2", "UP")?;
    let url = format!("http://{pages}/stats");
    browser.see(Seen::Desktop)?;
    browser.open(&url)?;
    browser.wait_for("document.querySelector('#live').textContent === 'live'")?;
    browser.script("window.same = true")?;
    ensure!(shown(&browser, "#verdict")?.contains("All services are served."));
    messages_are_counted(&browser, mail)?;
    a_button_drains(&browser, &proxy)?;
    keys_reach_a_button(&browser, &proxy)?;
    // The primary dies, and all of it is on the screen without a reload.
    servers[0].stop();
    browser
        .wait_for("document.querySelector('.now').textContent === 'mail2, a backup, stands in'")?;
    browser.wait_for("document.querySelector('#verdict').innerText.includes('mail_servers is on backup. 1 server is DOWN.')")?;
    browser.wait_for("document.querySelector('#events li').innerText.includes('fails over')")?;
    browser.wait_for("document.title.startsWith('mail_servers is on backup')")?;
    ensure!(shown(&browser, &format!("{ROW}.status"))?.contains("DOWN"));
    ensure!(
        browser.script("return window.same === true")? == true,
        "it was not loaded again"
    );
    nothing_was_wrong(&browser)?;
    on_a_phone_and_without_scripts(&browser, &url)?;
    a_forged_form_is_refused(&browser, &proxy, pages)?;
    many_servers(&browser)
}

/// In mode smtp; else it is not known how many there are.
fn messages_are_counted(browser: &Browser, mail: SocketAddr) -> Result<()> {
    ensure!(
        shown(browser, ".service[data-k='b3.0']")?.contains("messages are not known in mode tcp")
    );
    let done = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&done);
    let sender = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            deliver(mail, "counted")?;
        }
        Ok::<_, anyhow::Error>(())
    });
    let seen = browser.wait_for("document.querySelector(`[data-f='mail b5.0']`).textContent > 0");
    done.store(true, Ordering::Relaxed);
    sender.join().map_err(|_| anyhow::anyhow!("the sender"))??;
    seen
}

fn a_button_drains(browser: &Browser, proxy: &Proxy) -> Result<()> {
    browser.click(&format!("{ROW}button[value^=drain]"))?;
    browser.wait_for("document.querySelector('#ask').open")?;
    ensure!(shown(browser, "#ask-title")? == "Drain mail_servers/mail1?");
    // Who is not sure has done nothing.
    browser.press("\n")?;
    browser.wait_for("!document.querySelector('#ask').open")?;
    ensure!(proxy.status("mail_servers", "mail1")? == "UP");
    browser.click(&format!("{ROW}button[value^=drain]"))?;
    say_yes(browser)?;
    // It is told for six seconds.
    browser.wait_for(
        "document.querySelector('#toast').innerText === 'Drain mail_servers/mail1: done.'",
    )?;
    proxy.wait_for_status("mail_servers", "mail1", "DRAIN")?;
    browser.wait_for(
        "document.querySelector(`tr[data-k='s3.1'] .status`).innerText.includes('DRAIN')",
    )?;
    // The one that is left is the last, which is told.
    browser.click("tr[data-k='s3.2'] button[value^=maint]")?;
    ensure!(
        shown(browser, "#ask-text")?.starts_with("It is the last server that serves mail_servers")
    );
    browser.press("\n")?;
    browser.wait_for("!document.querySelector('#ask').open")?;
    browser.click(&format!("{ROW}button[value^=ready]"))?;
    say_yes(browser)?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")?;
    browser.wait_for("document.querySelector('.now').textContent === 'mail1 serves'")
}

fn say_yes(browser: &Browser) -> Result<()> {
    browser.wait_for("document.querySelector('#ask').open")?;
    browser.click("#ask-yes")
}

/// By the keyboard alone, and one sees where one is.
fn keys_reach_a_button(browser: &Browser, proxy: &Proxy) -> Result<()> {
    browser.script("document.activeElement.blur(); document.querySelector('#only').focus()")?;
    let mut reached = String::new();
    for _ in 0..20 {
        browser.press("\t")?;
        let name = browser.script("return document.activeElement.getAttribute('aria-label')")?;
        reached = name.as_str().unwrap_or_default().to_owned();
        if reached == "Maint mail_servers/mail1" {
            break;
        }
    }
    ensure!(reached == "Maint mail_servers/mail1", "{reached}");
    let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle")?;
    ensure!(outline == "solid", "{outline}");
    browser.press("\n")?;
    browser.wait_for("document.querySelector('#ask').open")?;
    browser.press("\t\n")?;
    proxy.wait_for_status("mail_servers", "mail1", "MAINT")?;
    browser.wait_for(
        "document.activeElement.getAttribute('aria-label') === 'Maint mail_servers/mail1'",
    )?;
    proxy.ask("set server mail_servers/mail1 state ready")?;
    proxy.wait_for_status("mail_servers", "mail1", "UP")
}

fn on_a_phone_and_without_scripts(browser: &Browser, url: &str) -> Result<()> {
    browser.see(Seen::Phone)?;
    browser.open(url)?;
    browser.wait_for("document.querySelector('#live').textContent === 'live'")?;
    let wide = browser.script("return document.documentElement.scrollWidth - innerWidth")?;
    ensure!(
        wide.as_i64().is_some_and(|wide| wide <= 0),
        "{wide} pixels too wide"
    );
    browser.see(Seen::Dark)?;
    let paper = browser.script("return getComputedStyle(document.body).backgroundColor")?;
    ensure!(paper == "rgb(16, 21, 28)", "{paper}");
    browser.see(Seen::Desktop)?;
    nothing_was_wrong(browser)?;
    // Without scripts it is a page of forms: a button acts at once, and the answer is told.
    browser.allow_scripts(false)?;
    browser.open(url)?;
    browser.click("tr[data-k='s3.2'] button[value^=drain]")?;
    browser.allow_scripts(true)?;
    browser.wait_for(
        "location.search === '' && document.querySelector('.result').innerText.includes('Done.')",
    )?;
    ensure!(shown(browser, "tr[data-k='s3.2'] .status")?.contains("DRAIN"));
    browser.console().map(drop)
}

/// A page of another origin sends HAProxy's form with the browser of an operator.
fn a_forged_form_is_refused(browser: &Browser, proxy: &Proxy, pages: SocketAddr) -> Result<()> {
    proxy.ask("set server mail_servers/mail2 state ready")?;
    let evil = format!(
        "data:text/html,<form id=f method=post action='http://{pages}/stats'><input name=s value=mail2><input name=b value=mail_servers>\
         <input name=action value=maint></form><script>f.submit()</script>"
    );
    browser.open(&evil)?;
    browser.wait_for("document.body.innerText.includes('403 Forbidden')")?;
    ensure!(proxy.status("mail_servers", "mail2")? != "MAINT");
    browser.console().map(drop)
}

/// 500 servers: it opens, follows, and makes nothing anew.
fn many_servers(browser: &Browser) -> Result<()> {
    let server = Server::start(Manner::Mail)?;
    let (front, pages) = (free_port()?, free_port()?);
    let mut backend = String::from("backend mail_servers\n    balance roundrobin\n");
    for number in 0..500 {
        backend.push_str(&format!("    server m{number} {}\n", server.address()));
    }
    let proxy = Proxy::start(Program::Posthouse, &configuration(pages, front, &backend))?;
    browser.open(&format!("http://{pages}/stats"))?;
    browser.wait_for("document.querySelector('#live').textContent === 'live'")?;
    ensure!(shown(browser, ".now")? == "500 of 500 servers serve");
    // The rows stay the same elements, and the last of them follows.
    let count = "return document.querySelectorAll('*').length";
    let before = browser.script(count)?;
    browser.script("window.row = document.querySelector(`tr[data-k='s3.500']`)")?;
    for number in 0..500 {
        proxy.ask(&format!("set server mail_servers/m{number} state drain"))?;
    }
    browser.wait_for("window.row.querySelector('.status').innerText.includes('DRAIN')")?;
    browser.wait_for("document.querySelector('.now').textContent === 'nobody serves'")?;
    let events = browser.script("return document.querySelectorAll('#events li').length")?;
    ensure!(
        events.as_u64().is_some_and(|events| events <= 100),
        "{events}"
    );
    let after = browser.script(count)?;
    let grown = after.as_i64().unwrap_or(0) - before.as_i64().unwrap_or(0);
    ensure!(grown <= 500, "{grown} more elements");
    // A server that comes or goes gives the page another shape.
    let late = "[...document.querySelectorAll('tr[data-k]')].some(row => row.innerText.includes('latecomer'))";
    proxy.ask(&format!(
        "add server mail_servers/latecomer {}",
        server.address()
    ))?;
    browser.wait_for(late)?;
    proxy.ask("del server mail_servers/latecomer")?;
    browser.wait_for(&format!("!{late}"))?;
    browser.wait_for("document.querySelector('#live').textContent === 'live'")?;
    nothing_was_wrong(browser)
}
