//! From files to the model.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Report, Severity};
use crate::env::{Env, Lookup};
use crate::keyword::address::Resolver;
use crate::model::{Location, Model};
use crate::resolve::resolve;
use crate::section::Reader;

/// A text to read, with the name it has in messages.
#[derive(Debug, Clone)]
pub struct Source {
    /// As on the command line.
    pub name: String,
    /// Bytes: what checks send need not be text.
    pub text: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The model, unless there was an error.
    pub model: Option<Model>,
    /// Everything there is to say, in the order it was found.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads what `-f` names: files, and directories with their `*.cfg` in C order.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut sources = Vec::new();
    let mut report = Report::default();
    for path in paths {
        if let Err((path, error)) = collect(path, &mut sources) {
            let text = error.to_string();
            let reason = text.split(" (os error").next().unwrap_or(&text);
            report.push(Diagnostic {
                severity: Severity::Alert,
                code: "unreadable",
                location: None,
                source: None,
                text: format!(
                    "Could not open configuration file {} : {reason}",
                    path.display()
                ),
                help: None,
            });
        }
    }
    if report.failed() {
        return Loaded {
            model: None,
            diagnostics: report.diagnostics,
        };
    }
    load_sources(&sources, &|name| std::env::var(name).ok(), &look_up)
}

/// Reads texts. `variables` is the environment, `resolver` makes addresses of names.
pub fn load_sources(sources: &[Source], variables: Lookup<'_>, resolver: Resolver<'_>) -> Loaded {
    let files: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut env = Env::new(variables);
    env.set("HAPROXY_CFGFILES", files.join(";"));
    let known = Known::new(resolver);
    let resolver = |name: &str| known.ask(name);
    let mut reader = Reader::new(env, &resolver);
    for source in sources {
        reader.file(&source.name, &source.text);
    }
    let mut report = reader.report;
    let model = resolve(reader.draft, &resolver, &mut report);
    let failed = report.failed();
    let without_effect = without_effect(&report.without_effect);
    let mut diagnostics = report.diagnostics;
    diagnostics.extend(without_effect);
    if failed {
        for name in files {
            diagnostics.push(Diagnostic {
                severity: Severity::Alert,
                code: "errors",
                location: None,
                source: None,
                text: format!("config : Error(s) found in configuration file : {name}"),
                help: None,
            });
        }
    }
    Loaded {
        model: (!failed).then_some(model),
        diagnostics,
    }
}

/// One notice for all keywords that change nothing: a configuration made for the web has dozens.
fn without_effect(keywords: &[(String, Location)]) -> Option<Diagnostic> {
    let list: Vec<_> = keywords
        .iter()
        .map(|(name, at)| format!("'{name}' [{at}]"))
        .collect();
    (!list.is_empty()).then(|| Diagnostic {
        severity: Severity::Notice,
        code: "no-effect",
        location: None,
        source: None,
        text: format!("config : without effect in Posthouse: {}.", list.join(", ")),
        help: None,
    })
}

/// Names are asked for once, however many servers have them.
struct Known<'a> {
    resolver: Resolver<'a>,
    answers: std::cell::RefCell<BTreeMap<String, Option<IpAddr>>>,
}

impl<'a> Known<'a> {
    fn new(resolver: Resolver<'a>) -> Self {
        Self {
            resolver,
            answers: std::cell::RefCell::default(),
        }
    }

    fn ask(&self, name: &str) -> Option<IpAddr> {
        let mut answers = self.answers.borrow_mut();
        *answers
            .entry(name.to_owned())
            .or_insert_with(|| (self.resolver)(name))
    }
}

/// The system's resolver; IPv4 first, as HAProxy's at the start.
fn look_up(name: &str) -> Option<IpAddr> {
    let all: Vec<_> = (name, 0)
        .to_socket_addrs()
        .ok()?
        .map(|address| address.ip())
        .collect();
    all.iter()
        .find(|ip| ip.is_ipv4())
        .or_else(|| all.first())
        .copied()
}

fn collect(path: &Path, sources: &mut Vec<Source>) -> Result<(), (PathBuf, io::Error)> {
    let named = |error| (path.to_owned(), error);
    if !fs::metadata(path).map_err(named)?.is_dir() {
        let text = fs::read(path).map_err(named)?;
        sources.push(Source {
            name: path.display().to_string(),
            text,
        });
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(named)? {
        let file = entry.map_err(named)?.path();
        let hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if file.extension().is_some_and(|end| end == "cfg") && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    files.iter().try_for_each(|file| collect(file, sources))
}
