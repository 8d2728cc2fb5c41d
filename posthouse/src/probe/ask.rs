//! What is asked of a server: one visit, as sessions come to it, and another for what that has left open.

use config::model::{ProxyVersion, ServerAddress};
use engine::probe::{Header, Visited, Way};
use engine::tls::Seen;
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
    pub(super) asked: Result<Asked, String>,
    /// How long it had for each step.
    pub(super) patience: std::time::Duration,
}

/// The answers.
#[derive(Debug)]
pub(super) struct Asked {
    /// What was to be said.
    pub(super) plan: Plan,
    /// The PROXY header that sessions begin with.
    pub(super) header: Option<Header>,
    /// As sessions come.
    pub(super) first: Visited,
    pub(super) second: Option<(Question, Visited)>,
    /// The certificate it has shown, and what is wrong with it.
    pub(super) certificate: Option<(Seen, Option<&'static str>)>,
    /// The name that the certificate was to have.
    pub(super) name: Option<String>,
}

impl<'m> Facts<'m> {
    /// Asks.
    pub(super) async fn gather(
        subject: Subject<'m>,
        address: ServerAddress,
        options: &Options,
    ) -> Self {
        let asked = Asked::gather(&subject, &address, options).await;
        Self {
            subject,
            address,
            asked,
            patience: options.timeout,
        }
    }

    /// What it has offered last.
    pub(super) fn offer(&self) -> Option<&Offer> {
        self.asked.as_ref().ok()?.best().visit.offer()
    }
}

impl Asked {
    async fn gather(
        subject: &Subject<'_>,
        address: &ServerAddress,
        options: &Options,
    ) -> Result<Self, String> {
        let server = subject.server;
        let source = server.source.or(subject.back.source);
        let way = Way::new(
            address.clone(),
            source,
            server.tls.as_deref(),
            server.fqdn.clone(),
        )?;
        let plan = plan(subject, options);
        let header = |version| Header {
            version,
            client: options.client(address),
        };
        let own = server.send_proxy.map(header);
        let first = way.visit(plan.clone(), own, options.timeout).await;
        let mut asked = Self {
            plan,
            header: own,
            first,
            second: None,
            certificate: None,
            name: name(subject),
        };
        if let Some(question) = asked.open_question(server.tls.is_some()) {
            let mut plan = asked.plan.clone();
            let header = match question {
                Question::WithHeader => Some(header(ProxyVersion::V2)),
                Question::WithoutHeader => None,
                Question::InClear => {
                    plan.starttls = StartTls::No;
                    own
                }
            };
            let visited = way.visit(plan, header, options.timeout).await;
            asked.second = Some((question, visited));
        }
        asked.certificate = way.certificate();
        Ok(asked)
    }

    fn open_question(&self, tls_required: bool) -> Option<Question> {
        let visit = &self.first.visit;
        if visit.mark(Step::Connect)?.end != End::Done {
            return None;
        }
        if visit.offer().is_some() {
            // What is said in clear after an injection is nobody's word.
            let at_tls = visit.marks().last().is_some_and(|mark| {
                matches!(mark.step, Step::StartTls | Step::Handshake) && mark.end != End::Injected
            });
            return (at_tls && !tls_required).then_some(Question::InClear);
        }
        // Who has spoken waits for no header; but Postfix says 421 when it has waited in vain.
        let speaks = visit
            .mark(Step::Greeting)
            .is_some_and(|mark| match &mark.end {
                End::Said(said) => said.code != 421,
                end => matches!(end, End::Garbage(_)),
            });
        match self.header {
            Some(_) => Some(Question::WithoutHeader),
            None => (!speaks).then_some(Question::WithHeader),
        }
    }

    /// The visit that says most.
    pub(super) fn best(&self) -> &Visited {
        match &self.second {
            Some((_, second)) if second.visit.offer().is_some() => second,
            _ => &self.first,
        }
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

fn plan(subject: &Subject<'_>, options: &Options) -> Plan {
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
        login: None,
        envelopes: options.envelopes(),
    }
}

/// The name that the certificate has to have (CFG 5.2); where TLS is not the proxy's affair, that of the host.
fn name(subject: &Subject<'_>) -> Option<String> {
    use config::model::Sni;
    match &subject.server.tls {
        Some(tls) => tls.verifyhost.clone().or_else(|| match &tls.sni {
            Some(Sni::Name(name)) => Some(name.clone()),
            Some(Sni::Client) | None => None,
        }),
        None => subject.server.fqdn.clone(),
    }
}
