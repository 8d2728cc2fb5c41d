//! What a condition can look at (CFG 7.3): a row per fetch.

use std::borrow::Cow;

use super::{Request, Sample};
use crate::diagnostic::Fault;
use crate::lexer::Word;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fetch {
    Always(bool),
    Path,
    Query,
    Url,
    UrlParameter(String),
    Method,
    /// The values of a header, at commas as well.
    Header(String),
    WholeHeader(String),
    HeaderCount(String),
    Source,
    DestinationPort,
    /// Whether it is a user of that list.
    Login(String),
    /// The groups of the user of that list.
    Groups(String),
    UsableServers(String),
}

/// How a fetch's values are meant where no method is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Truth,
    Text,
    Address,
    Number,
}

/// A fetch: its name, how to make it, and how its values are meant.
struct Row {
    name: &'static str,
    make: Make,
    kind: Kind,
}

enum Make {
    Plain(Fetch),
    /// With an argument in parentheses.
    With(fn(String) -> Fetch),
}

const fn plain(name: &'static str, fetch: Fetch, kind: Kind) -> Row {
    let make = Make::Plain(fetch);
    Row { name, make, kind }
}

const fn with(name: &'static str, make: fn(String) -> Fetch, kind: Kind) -> Row {
    let make = Make::With(make);
    Row { name, make, kind }
}

fn header(name: String) -> Fetch {
    Fetch::Header(name.to_ascii_lowercase())
}

fn whole_header(name: String) -> Fetch {
    Fetch::WholeHeader(name.to_ascii_lowercase())
}

fn header_count(name: String) -> Fetch {
    Fetch::HeaderCount(name.to_ascii_lowercase())
}

const ROWS: &[Row] = &[
    plain("always_true", Fetch::Always(true), Kind::Truth),
    plain("always_false", Fetch::Always(false), Kind::Truth),
    // There is no TLS on pages: the answer is known.
    plain("ssl_fc", Fetch::Always(false), Kind::Truth),
    plain("path", Fetch::Path, Kind::Text),
    plain("query", Fetch::Query, Kind::Text),
    plain("url", Fetch::Url, Kind::Text),
    with("url_param", Fetch::UrlParameter, Kind::Text),
    with("urlp", Fetch::UrlParameter, Kind::Text),
    plain("method", Fetch::Method, Kind::Text),
    with("hdr", header, Kind::Text),
    with("req.hdr", header, Kind::Text),
    with("req.fhdr", whole_header, Kind::Text),
    with("hdr_cnt", header_count, Kind::Number),
    with("req.hdr_cnt", header_count, Kind::Number),
    plain("src", Fetch::Source, Kind::Address),
    plain("dst_port", Fetch::DestinationPort, Kind::Number),
    with("http_auth", Fetch::Login, Kind::Truth),
    with("http_auth_group", Fetch::Groups, Kind::Text),
    with("nbsrv", Fetch::UsableServers, Kind::Number),
];

/// A fetch by its name, its kind, and the ending behind the name that says how it compares: `path_beg`,
/// `hdr_end(host)`.
pub(super) fn find(word: &Word) -> Result<(Fetch, Kind, Option<&str>), Fault> {
    let unknown = || {
        let text = format!(
            "the fetch '{}' is not supported by Posthouse yet.",
            word.text
        );
        let names = ROWS.iter().map(|row| match row.make {
            Make::Plain(_) => row.name.to_owned(),
            Make::With(_) => format!("{}()", row.name),
        });
        let known = names.collect::<Vec<_>>().join(", ");
        let fault = Fault::new("not-yet", text).on(&word.span);
        fault.help(format!("there are {known}; and no converters"))
    };
    let (name, argument) = match word.text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
        None => (&*word.text, None),
    };
    let by_name = |name: &str| {
        ROWS.iter()
            .find(|row| row.name == name.to_ascii_lowercase())
    };
    let (row, ending) = match by_name(name) {
        Some(row) => (row, None),
        None => {
            let (base, ending) = name.rsplit_once('_').ok_or_else(unknown)?;
            let row = by_name(base).filter(|row| row.kind == Kind::Text);
            (row.ok_or_else(unknown)?, Some(ending))
        }
    };
    let fetch = match (&row.make, argument) {
        (Make::Plain(fetch), None) => fetch.clone(),
        (Make::With(make), Some(argument)) if !argument.is_empty() => make(argument.to_owned()),
        (Make::With(_), _) => {
            let text = format!("'{}' needs an argument in parentheses.", row.name);
            return Err(Fault::new("bad-condition", text).on(&word.span));
        }
        (Make::Plain(_), Some(_)) => {
            let text = format!("'{}' takes no argument.", row.name);
            return Err(Fault::new("bad-condition", text).on(&word.span));
        }
    };
    Ok((fetch, row.kind, ending))
}

impl Fetch {
    pub(super) fn sample<'r>(&self, request: &'r dyn Request) -> Sample<'r> {
        let one = |text: &'r str| Sample::Texts(vec![Cow::Borrowed(text)]);
        let all =
            |texts: Vec<&'r str>| Sample::Texts(texts.into_iter().map(Cow::Borrowed).collect());
        match self {
            Self::Always(truth) => Sample::Truth(*truth),
            Self::Path => one(request.path()),
            Self::Query => one(request.query()),
            Self::Url => one(request.url()),
            Self::UrlParameter(name) => {
                let pairs = request.query().split('&');
                let value = |pair: &'r str| match pair.split_once('=') {
                    Some((key, value)) => (key == name).then_some(value),
                    None => (pair == name).then_some(""),
                };
                all(pairs.filter_map(value).take(1).collect())
            }
            Self::Method => one(request.method()),
            Self::Header(name) => {
                let lines = request.header(name).into_iter();
                all(lines
                    .flat_map(|line| line.split(',').map(str::trim))
                    .collect())
            }
            Self::WholeHeader(name) => all(request.header(name)),
            Self::HeaderCount(name) => {
                let lines = request.header(name).into_iter();
                Sample::Number(lines.map(|line| line.split(',').count() as u64).sum())
            }
            Self::Source => Sample::Address(request.source()),
            Self::DestinationPort => Sample::Number(u64::from(request.port())),
            Self::Login(list) => Sample::Truth(request.groups(list).is_some()),
            Self::Groups(list) => all(request.groups(list).unwrap_or_default()),
            Self::UsableServers(backend) => Sample::Number(request.usable_servers(backend)),
        }
    }

    pub(super) fn userlist(&self) -> Option<&str> {
        match self {
            Self::Login(list) | Self::Groups(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn backend(&self) -> Option<&str> {
        match self {
            Self::UsableServers(backend) => Some(backend),
            _ => None,
        }
    }
}
