//! `posthouse probe`: asks every server of a configuration what works, as a session would come to it.
//!
//! [`options`] reads the words, [`ask`] visits a server, once or, where the first visit leaves a question open, twice;
//! [`findings`] is the table of what is to be said of that, [`differ`] compares the servers of a backend, and [`show`]
//! prints. Nothing is delivered: DATA is never said.

mod ask;
mod differ;
mod findings;
mod options;
mod relay;
mod show;
mod tls;

use std::process::ExitCode;

use config::model::{Back, Model, Proxy, Server, ServerAddress};

use crate::flags::Flags;
use crate::load;
use crate::report::Report;
use crate::tool::block_on;
use ask::Asker;
use options::{Options, TOOL};
use show::{Block, Show};

/// A server to be asked.
#[derive(Debug, Clone, Copy)]
struct Subject<'m> {
    proxy: &'m Proxy,
    back: &'m Back,
    server: &'m Server,
}

impl Subject<'_> {
    /// Whether nobody is led to it.
    fn is_disabled(&self) -> bool {
        self.proxy.disabled || self.server.disabled
    }

    /// Whether the configuration knows it for a mail server. Another that speaks no SMTP is nobody's mistake.
    fn is_mail(&self) -> bool {
        const PORTS: [u16; 3] = [25, 465, 587];
        let port = match &self.server.address {
            ServerAddress::Ip(address) => PORTS.contains(&address.port()),
            _ => false,
        };
        port || self.back.smtp.is_some() || self.back.greeting.is_some()
    }

    /// Where it is. One whose port is that of a client's connection is where the first listener leads that has it for
    /// a server.
    fn address(&self, model: &Model) -> Option<ServerAddress> {
        let ServerAddress::IpRelative(ip, offset) = self.server.address else {
            return Some(self.server.address.clone());
        };
        let leads_here = |proxy: &&Proxy| {
            let front = proxy.front.as_ref();
            let default = front.and_then(|front| front.default_backend);
            let default = default.and_then(|index| model.proxies.get(index));
            std::ptr::eq(*proxy, self.proxy)
                || default.is_some_and(|proxy| std::ptr::eq(proxy, self.proxy))
        };
        let fronts = model.proxies.iter().filter(leads_here);
        let mut binds = fronts.filter_map(|proxy| proxy.front.as_ref()?.binds.first());
        let config::model::BindAddress::Ip(bound) = binds.next()?.address else {
            return None;
        };
        let port = u16::try_from(i32::from(bound.port()) + offset).ok()?;
        Some(ServerAddress::Ip((ip, port).into()))
    }
}

/// Runs it with the words after `probe`.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let options = match options::parse(words) {
        Ok(options) if options.help => return crate::print(TOOL.usage),
        Ok(options) => options,
        Err(why) => return TOOL.misread(&why),
    };
    let mut report = Report::stderr(false);
    // What it warns of, `-c` tells.
    report.set_only_alerts(true);
    let flags = Flags {
        files: options.files.clone(),
        ..Flags::default()
    };
    let Some(model) = load::read(&flags, &mut report) else {
        return ExitCode::FAILURE;
    };
    let subjects = match subjects(&model, &options.only) {
        Ok(subjects) => subjects,
        Err(why) => return TOOL.trouble(&why),
    };
    match block_on(async { Ok(probe(&model, &subjects, &options).await) }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => TOOL.trouble(&format!("{why:#}")),
    }
}

/// The servers that are meant, in the order of the file; `only` are names of backends, and of servers behind a slash.
fn subjects<'m>(model: &'m Model, only: &[String]) -> Result<Vec<Subject<'m>>, String> {
    let backs = model.proxies.iter();
    let backs = backs.filter_map(|proxy| Some((proxy, proxy.back.as_ref()?)));
    let servers = backs.flat_map(|(proxy, back)| {
        let servers = back.servers.iter();
        servers.map(move |server| Subject {
            proxy,
            back,
            server,
        })
    });
    let all: Vec<_> = servers.collect();
    let is = |subject: &Subject<'_>, name: &String| match name.split_once('/') {
        Some((proxy, server)) => *subject.proxy.name == *proxy && *subject.server.name == *server,
        None => *subject.proxy.name == **name,
    };
    if let Some(name) = only
        .iter()
        .find(|name| !all.iter().any(|subject| is(subject, name)))
    {
        return Err(format!("there is no server '{name}' in the configuration"));
    }
    if all.is_empty() {
        return Err("there is no server in the configuration".into());
    }
    let meant =
        |subject: &Subject<'_>| only.is_empty() || only.iter().any(|name| is(subject, name));
    Ok(all.into_iter().filter(meant).collect())
}

/// Asks them one after the other; whether nothing is wrong.
async fn probe(model: &Model, subjects: &[Subject<'_>], options: &Options) -> bool {
    let (mut asker, mut show) = (Asker::new(options), Show::new(options));
    for of_backend in subjects.chunk_by(|one, other| std::ptr::eq(one.proxy, other.proxy)) {
        show.backend(of_backend[0].proxy);
        let mut offers = Vec::new();
        for subject in of_backend {
            let address = subject.address(model);
            if subject.is_disabled() && !options.all {
                show.block(Block::skipped(subject, "disabled: not asked (--all does)"));
                continue;
            }
            let Some(address) = address else {
                let why = "its port is that of a client's connection: not asked";
                show.block(Block::skipped(subject, why));
                continue;
            };
            let facts = asker.ask(*subject, address).await;
            let findings = findings::all(&facts);
            let offer = facts.offer().map(wire::visit::Offer::words);
            if let Some(offer) = &offer {
                offers.push((subject.server.name.to_string(), offer.clone()));
            }
            show.block(Block::asked(&facts, findings, offer));
        }
        show.differences(differ::differences(&offers));
    }
    show.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("x.cfg");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&[file]);
        loaded.model.unwrap()
    }

    #[test]
    fn servers_are_meant_by_name() {
        let model = model(
            "backend a\n server s1 h:1\n server s2 h:2\nlisten b\n bind :9\n server s1 h:3\n"
                .replace("h:", "10.0.0.1:")
                .as_str(),
        );
        let names = |only: &[&str]| -> Result<Vec<String>, String> {
            let only: Vec<_> = only.iter().map(|&name| name.to_owned()).collect();
            let found = subjects(&model, &only)?;
            let name = |it: &Subject<'_>| format!("{}/{}", it.proxy.name, it.server.name);
            Ok(found.iter().map(name).collect())
        };
        assert_eq!(names(&[]).unwrap(), ["a/s1", "a/s2", "b/s1"]);
        assert_eq!(names(&["b", "a/s2"]).unwrap(), ["a/s2", "b/s1"]);
        assert!(names(&["a/s3"]).unwrap_err().contains("'a/s3'"));
    }

    #[test]
    fn a_relative_port_is_that_of_who_leads_there() {
        let model = model(
            "frontend f\n bind :587\n default_backend a\nbackend a\n server s1 10.0.0.1:+1000\nbackend lost\n server s1 10.0.0.1:+1\nlisten l\n bind :25\n server s1 10.0.0.1:+2000\n server s2 10.0.0.1:7\n",
        );
        let found = subjects(&model, &[]).unwrap();
        let place = |it: &Subject<'_>| it.address(&model).map(|it| show::shown(&it));
        let places: Vec<_> = found.iter().map(place).collect();
        let expected = ["10.0.0.1:1587", "", "10.0.0.1:2025", "10.0.0.1:7"];
        let expected = expected.map(|it| Some(it.to_owned()).filter(|it| !it.is_empty()));
        assert_eq!(places, expected);
    }
}
