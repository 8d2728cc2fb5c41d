//! What is found, as text or as JSON.

use config::model::{Proxy, ServerAddress};
use serde_json::{Value, json};

use super::Subject;
use super::ask::Facts;
use super::findings::{Finding, Level};
use super::options::Options;

/// What is said of a server.
#[derive(Debug)]
pub(super) struct Block {
    backend: String,
    server: String,
    place: String,
    address: String,
    skipped: Option<&'static str>,
    findings: Vec<Finding>,
    offer: Option<Vec<String>>,
}

impl Block {
    /// Of one that was not asked.
    pub(super) fn skipped(subject: &Subject<'_>, why: &'static str) -> Self {
        Self {
            backend: subject.proxy.name.to_string(),
            server: subject.server.name.to_string(),
            place: subject.server.at.to_string(),
            address: shown(&subject.server.address),
            skipped: Some(why),
            findings: Vec::new(),
            offer: None,
        }
    }

    /// Of one that was.
    pub(super) fn asked(
        facts: &Facts<'_>,
        findings: Vec<Finding>,
        offer: Option<Vec<String>>,
    ) -> Self {
        Self {
            address: shown(&facts.address),
            skipped: None,
            findings,
            offer,
            ..Self::skipped(&facts.subject, "")
        }
    }

    fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "what": finding.what,
                "level": finding.level.name(),
                "text": finding.text,
                "help": finding.help,
                "ms": finding.ms,
            })
        });
        json!({
            "backend": self.backend,
            "server": self.server,
            "address": self.address,
            "at": self.place,
            "skipped": self.skipped,
            "findings": findings.collect::<Vec<_>>(),
            "offers": self.offer,
        })
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// As it stands in its column.
    fn label(self) -> &'static str {
        match self {
            Self::Note => "-",
            Self::Error => "ERROR",
            level => level.name(),
        }
    }
}

/// `10.0.0.1:25`, a path.
pub(super) fn shown(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Ip(address) => address.to_string(),
        ServerAddress::IpRelative(ip, offset) => format!("{ip}:{offset:+}"),
        ServerAddress::Unix(path) => path.display().to_string(),
        ServerAddress::Abstract(name) => format!("abns@{}", String::from_utf8_lossy(name)),
    }
}

/// Prints as it comes; with `--json` at the end.
#[derive(Debug)]
pub(super) struct Show {
    quiet: bool,
    json: bool,
    /// The section at work: its heading, until it is said.
    heading: Option<String>,
    backend: String,
    /// What is said where its servers differ.
    differ: &'static str,
    servers: Vec<Value>,
    differences: Vec<Value>,
    asked: usize,
    warnings: usize,
    errors: usize,
}

impl Show {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            quiet: options.quiet,
            json: options.json,
            heading: None,
            backend: String::new(),
            differ: "",
            servers: Vec::new(),
            differences: Vec::new(),
            asked: 0,
            warnings: 0,
            errors: 0,
        }
    }

    /// Of its servers is spoken next.
    pub(super) fn backend(&mut self, proxy: &Proxy) {
        let kind = match proxy.front {
            Some(_) => "listen",
            None => "backend",
        };
        self.backend = proxy.name.to_string();
        self.differ = match proxy.back.as_ref().is_some_and(|back| back.smtp.is_some()) {
            true => "its servers differ, and clients are offered what all have",
            false => "its servers differ",
        };
        self.heading = Some(format!("{kind} {} ({})\n", proxy.name, proxy.at));
    }

    /// A server is done.
    pub(super) fn block(&mut self, block: Block) {
        let count = |level| block.findings.iter().filter(|it| it.level == level).count();
        self.warnings += count(Level::Warning);
        self.errors += count(Level::Error);
        self.asked += usize::from(block.skipped.is_none());
        if self.json {
            self.servers.push(block.json());
            return;
        }
        let least = match self.quiet {
            true => Level::Warning,
            false => Level::Note,
        };
        let mut text = format!("  server {} {}\n", block.server, block.address);
        let said: Vec<_> = block
            .findings
            .iter()
            .filter(|finding| finding.level >= least)
            .collect();
        if self.quiet && said.is_empty() {
            return;
        }
        if let Some(why) = block.skipped {
            text += &format!("    {why}\n");
        }
        for finding in said {
            text += &line(finding);
        }
        self.say(&text);
    }

    /// What its servers do not all offer.
    pub(super) fn differences(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        if self.json {
            self.differences
                .push(json!({"backend": self.backend, "offers": lines}));
        } else if !self.quiet {
            let lines = lines.iter().map(|line| format!("    {line}\n"));
            let lines: String = lines.collect();
            self.say(&format!("  {}\n{lines}", self.differ));
        }
    }

    /// The last word; whether nothing is wrong.
    pub(super) fn end(self) -> bool {
        let Self {
            asked,
            warnings,
            errors,
            ..
        } = self;
        if self.json {
            let all = json!({
                "servers": self.servers,
                "differences": self.differences,
                "asked": asked,
                "warnings": warnings,
                "errors": errors,
            });
            crate::print(&format!("{all}\n"));
        } else if !self.quiet || warnings + errors > 0 {
            let many = |count: usize, what: &str| match count {
                0 => format!("no {what}s"),
                1 => format!("1 {what}"),
                _ => format!("{count} {what}s"),
            };
            let (asked, errors) = (many(asked, "server"), many(errors, "error"));
            crate::print(&format!(
                "\n{asked} asked: {errors}, {}\n",
                many(warnings, "warning")
            ));
        }
        errors == 0
    }

    fn say(&mut self, text: &str) {
        let heading = self.heading.take();
        crate::print(&(heading.unwrap_or_default() + text));
    }
}

fn line(finding: &Finding) -> String {
    let ms = match finding.ms {
        None => String::new(),
        Some(0) => "<1 ms  ".into(),
        Some(ms) => format!("{ms} ms  "),
    };
    let Finding { what, text, .. } = finding;
    let mut line = format!("    {what:<9} {:<8} {ms}{text}\n", finding.level.label());
    if let Some(help) = &finding.help {
        line += &format!("{:23}way out: {help}\n", "");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_in_columns() {
        let mut finding = Finding {
            what: "connect",
            level: Level::Ok,
            text: "from 10.0.0.1".into(),
            help: None,
            ms: Some(0),
        };
        let good = "    connect   ok       <1 ms  from 10.0.0.1\n";
        assert_eq!(line(&finding), good);
        finding = Finding {
            what: "STARTTLS",
            level: Level::Error,
            help: Some("renew it".into()),
            ms: None,
            ..finding
        };
        let bad =
            "    STARTTLS  ERROR    from 10.0.0.1\n                       way out: renew it\n";
        assert_eq!(line(&finding), bad);
    }
}
