//! What a condition can look at (CFG 7.3): a row per fetch.

use std::borrow::Cow;
use std::net::SocketAddr;

use wire::hello::{self, ClientHello, Seen};

use super::{Request, Sample};
use crate::diagnostic::Fault;
use crate::lexer::Word;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetch {
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
    SourcePort,
    Destination,
    DestinationPort,
    /// Whether TLS with the client is ours.
    Secure,
    /// The name asked for in it.
    SecureName,
    /// How much the client has said.
    Length,
    /// The type of the handshake message that it begins with.
    HelloType,
    /// The name its hello asks for.
    HelloName,
    /// The first protocol its hello offers, which is all that HAProxy 2.6 tells.
    HelloProtocol,
    /// Whether no more is waited for.
    WaitEnd,
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

/// What must be there before a fetch can say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    /// An accepted connection.
    Connection,
    /// TLS with the client, where there is any.
    Session,
    /// What the client says.
    Content,
    /// A request of HTTP.
    Http,
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
    plain("ssl_fc", Fetch::Secure, Kind::Truth),
    plain("ssl_fc_sni", Fetch::SecureName, Kind::Text),
    plain("wait_end", Fetch::WaitEnd, Kind::Truth),
    plain("req.len", Fetch::Length, Kind::Number),
    plain("req_len", Fetch::Length, Kind::Number),
    plain("req.ssl_hello_type", Fetch::HelloType, Kind::Number),
    plain("req_ssl_hello_type", Fetch::HelloType, Kind::Number),
    plain("req.ssl_sni", Fetch::HelloName, Kind::Text),
    plain("req_ssl_sni", Fetch::HelloName, Kind::Text),
    plain("req.ssl_alpn", Fetch::HelloProtocol, Kind::Text),
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
    plain("src_port", Fetch::SourcePort, Kind::Number),
    plain("dst", Fetch::Destination, Kind::Address),
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
            Self::Source => address(request.source()),
            Self::SourcePort => port(request.source()),
            Self::Destination => address(request.destination()),
            Self::DestinationPort => port(request.destination()),
            Self::Secure => Sample::Truth(request.tls().is_some()),
            Self::SecureName => text(request.tls().flatten()),
            Self::Length => Sample::Number(request.said().bytes.len() as u64),
            // A hello's type is told when the hello is there as a whole: what follows asks for its name.
            Self::HelloType => match hello::handshake_type(request.said().bytes) {
                Seen::This(kind) if !is_begun(request) => Sample::Number(u64::from(kind)),
                Seen::This(_) | Seen::More | Seen::Other => Sample::Nothing,
            },
            Self::HelloName => text(client_hello(request).and_then(|hello| hello.server_name)),
            Self::HelloProtocol => {
                text(client_hello(request).and_then(|hello| hello.protocols.into_iter().next()))
            }
            Self::WaitEnd => Sample::Truth(!request.said().goes_on),
            Self::Login(list) => Sample::Truth(request.groups(list).is_some()),
            Self::Groups(list) => all(request.groups(list).unwrap_or_default()),
            Self::UsableServers(backend) => Sample::Number(request.usable_servers(backend)),
        }
    }

    /// Whether what is still to come may give another sample.
    pub(super) fn may_change(&self, request: &dyn Request) -> bool {
        let said = request.said();
        said.goes_on
            && match self {
                Self::Length | Self::WaitEnd => true,
                Self::HelloType | Self::HelloName | Self::HelloProtocol => is_begun(request),
                _ => false,
            }
    }

    /// What must be there.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Secure | Self::SecureName => Needs::Session,
            Self::Length
            | Self::HelloType
            | Self::HelloName
            | Self::HelloProtocol
            | Self::WaitEnd => Needs::Content,
            Self::Always(_)
            | Self::Source
            | Self::SourcePort
            | Self::Destination
            | Self::DestinationPort
            | Self::UsableServers(_) => Needs::Connection,
            _ => Needs::Http,
        }
    }

    /// What it is called first.
    pub(crate) fn name(&self) -> &'static str {
        let is_it = |row: &&Row| match &row.make {
            Make::Plain(fetch) => fetch == self,
            Make::With(make) => {
                std::mem::discriminant(&make(String::new())) == std::mem::discriminant(self)
            }
        };
        ROWS.iter().find(is_it).map_or("", |row| row.name)
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

fn address<'r>(of: Option<SocketAddr>) -> Sample<'r> {
    Sample::Address(of.map(|of| of.ip()))
}

fn port<'r>(of: Option<SocketAddr>) -> Sample<'r> {
    of.map_or(Sample::Nothing, |of| Sample::Number(u64::from(of.port())))
}

fn text<'r>(of: Option<String>) -> Sample<'r> {
    of.map_or(Sample::Nothing, |text| {
        Sample::Texts(vec![Cow::Owned(text)])
    })
}

/// Whether there may be a hello that is not there as a whole.
fn is_begun(request: &dyn Request) -> bool {
    hello::parse(request.said().bytes) == Seen::More
}

fn client_hello(request: &dyn Request) -> Option<ClientHello> {
    match hello::parse(request.said().bytes) {
        Seen::This(hello) => Some(hello),
        Seen::More | Seen::Other => None,
    }
}
