//! What is asked of a server: one visit, as sessions come to it, and another for what that has left open. A server that
//! stands in several sections is asked once.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use config::model::{ProxyHeader, ProxyOptions, ServerAddress, ServerTls, Sni};
use engine::probe::{Header, Visited, Way};
use engine::tls::Seen;
use wire::smtp::Origin;
use wire::visit::{End, Offer, Plan, StartTls, Step};

use super::Subject;
use super::options::Options;

/// What a second visit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// It does not answer, and gets no PROXY header: does it wait for one?
    WithHeader,
    /// It does not answer, and gets a PROXY header: does it without?
    WithoutHeader,
    /// TLS came to nothing, and is not required: what does it say in clear?
    InClear,
}

/// What is known of a server when it was asked.
#[derive(Debug)]
pub(super) struct Facts<'m> {
    pub(super) subject: Subject<'m>,
    pub(super) address: ServerAddress,
    /// What was asked; or what makes it impossible to ask.
    pub(super) asked: Rc<Result<Asked, String>>,
    /// How long it had for each step.
    pub(super) patience: std::time::Duration,
}

/// The answers.
#[derive(Debug)]
pub(super) struct Asked {
    /// How sessions come.
    pub(super) approach: Approach,
    /// As sessions come.
    pub(super) first: Visited,
    pub(super) second: Option<(Question, Visited)>,
    /// The certificate it has shown, and what is wrong with it.
    pub(super) certificate: Option<(Seen, Option<&'static str>)>,
}

/// How sessions come to a server, and what is said there. Where nothing of it differs, the answers do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approach {
    address: ServerAddress,
    source: Option<SocketAddr>,
    tls: Option<Arc<ServerTls>>,
    /// The host's name, where it was written with one.
    host: Option<String>,
    /// The PROXY header that sessions begin with.
    pub(super) header: Option<Header>,
    pub(super) plan: Plan,
}

/// Asks servers.
#[derive(Debug)]
pub(super) struct Asker<'o> {
    options: &'o Options,
    /// Answers there are already.
    known: Vec<(Approach, Rc<Result<Asked, String>>)>,
}

impl Facts<'_> {
    /// What it has offered last.
    pub(super) fn offer(&self) -> Option<&Offer> {
        let asked = (*self.asked).as_ref().ok()?;
        asked.best().visit.offer()
    }
}

impl<'o> Asker<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        Self {
            options,
            known: Vec::new(),
        }
    }

    /// Asks a server that is at `address`, unless it was asked that before.
    pub(super) async fn ask<'m>(
        &mut self,
        subject: Subject<'m>,
        address: ServerAddress,
    ) -> Facts<'m> {
        let approach = Approach::new(&subject, &address, self.options);
        let known = self.known.iter().find(|(own, _)| *own == approach);
        let asked = match known {
            Some((_, asked)) => Rc::clone(asked),
            None => {
                let asked = Rc::new(Asked::gather(approach.clone(), self.options).await);
                self.known.push((approach, Rc::clone(&asked)));
                asked
            }
        };
        Facts {
            subject,
            address,
            asked,
            patience: self.options.timeout,
        }
    }
}

impl Approach {
    fn new(subject: &Subject<'_>, address: &ServerAddress, options: &Options) -> Self {
        let Subject { server, back, .. } = subject;
        Self {
            address: address.clone(),
            source: server.source.or(back.source),
            tls: server.tls.clone(),
            host: server.fqdn.clone(),
            header: server.send_proxy.map(|kind| Header {
                kind,
                client: options.client(address),
            }),
            plan: plan(subject, address, options),
        }
    }
}

impl Asked {
    async fn gather(approach: Approach, options: &Options) -> Result<Self, String> {
        let Approach {
            address,
            source,
            tls,
            host,
            header,
            plan,
        } = approach.clone();
        let client = options.client(&address);
        let way = Way::new(address, source, tls.as_deref(), host)?;
        let first = way.visit(plan.clone(), header, options.timeout).await;
        let mut asked = Self {
            approach,
            first,
            second: None,
            certificate: None,
        };
        if let Some(question) = asked.open_question() {
            let (header, starttls) = match question {
                Question::WithHeader => {
                    let kind = ProxyHeader::V2(ProxyOptions::default());
                    (Some(Header { kind, client }), plan.starttls)
                }
                Question::WithoutHeader => (None, plan.starttls),
                Question::InClear => (header, StartTls::No),
            };
            let plan = Plan { starttls, ..plan };
            let visited = way.visit(plan, header, options.timeout).await;
            asked.second = Some((question, visited));
        }
        asked.certificate = way.certificate();
        Ok(asked)
    }

    fn open_question(&self) -> Option<Question> {
        let visit = &self.first.visit;
        if visit.mark(Step::Connect)?.end != End::Done {
            return None;
        }
        if visit.offer().is_some() {
            // What is said in clear after an injection is nobody's word.
            let at_tls = visit.marks().last().is_some_and(|mark| {
                matches!(mark.step, Step::StartTls | Step::Handshake) && mark.end != End::Injected
            });
            return (at_tls && self.approach.tls.is_none()).then_some(Question::InClear);
        }
        // Who has spoken waits for no header; but Postfix says 421 when it has waited in vain.
        let speaks = visit
            .mark(Step::Greeting)
            .is_some_and(|mark| match &mark.end {
                End::Said(said) => said.code != 421,
                end => matches!(end, End::Garbage(_)),
            });
        match self.approach.header {
            Some(_) => Some(Question::WithoutHeader),
            None => (!speaks).then_some(Question::WithHeader),
        }
    }

    /// The name that the certificate has to have (CFG 5.2); where TLS is not the proxy's affair, that of the host.
    pub(super) fn name(&self) -> Option<&str> {
        let Some(tls) = &self.approach.tls else {
            return self.approach.host.as_deref();
        };
        tls.verifyhost.as_deref().or(match &tls.sni {
            Some(Sni::Name(name)) => Some(name),
            Some(Sni::Client) | None => None,
        })
    }

    /// The visit that says most.
    pub(super) fn best(&self) -> &Visited {
        match &self.second {
            Some((_, second)) if second.visit.offer().is_some() => second,
            _ => &self.first,
        }
    }

    /// The client that the server was told of, and took.
    pub(super) fn client(&self) -> Option<IpAddr> {
        let header = self.approach.header.map(|header| header.client);
        let header = header.filter(|_| !self.is_answered(Question::WithoutHeader));
        let told = self.best().visit.mark(Step::HelloAfter).is_some();
        let origin = self.approach.plan.origin.filter(|_| told);
        let client = origin.and_then(|origin| origin.client).or(header);
        client.map(|client| client.ip())
    }

    /// The visit that has asked for STARTTLS.
    pub(super) fn upgraded(&self) -> &Visited {
        match &self.second {
            Some((Question::InClear, _)) => &self.first,
            _ => self.best(),
        }
    }

    /// Whether the second visit was for that, and was answered.
    pub(super) fn is_answered(&self, question: Question) -> bool {
        let second = self.second.as_ref();
        second.is_some_and(|(own, second)| *own == question && second.visit.offer().is_some())
    }
}

fn plan(subject: &Subject<'_>, address: &ServerAddress, options: &Options) -> Plan {
    let tls = subject.server.tls.as_ref();
    let at_once = match tls {
        Some(tls) => !tls.starttls,
        // It passes through.
        None => subject.back.tls_hello == Some(true),
    };
    let hello = options
        .helo
        .as_deref()
        .unwrap_or_else(|| engine::host_name());
    Plan {
        hello: hello.to_owned(),
        tls: at_once,
        starttls: match tls {
            _ if at_once => StartTls::No,
            Some(_) => StartTls::Required,
            None => StartTls::IfOffered,
        },
        origin: subject.server.xclient.then(|| Origin {
            client: Some(options.client(address)),
            destination: match address {
                ServerAddress::Ip(address) => Some(*address),
                _ => None,
            },
        }),
        login: None,
        envelopes: options.envelopes(),
    }
}
