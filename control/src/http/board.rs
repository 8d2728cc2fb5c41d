//! What the page shows, at one moment: proxies and servers with their cells, who serves each service, and a
//! verdict in a sentence. What is drawn first ([`super::page`]) and what is sent afterwards ([`super::live`]) both
//! come from here.

mod column;

use engine::backend::{Backend, Share};
use engine::clock::Clock;
use engine::{Plane, Proxy};
use serde_json::{Map, Value as Json, json};

use crate::Desk;
use crate::info;
use crate::stat::{self, Kind, Row, Selection};

pub(super) use column::{COLUMNS, Cell, Column};

/// How something is, for a mark, a colour and a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Serves.
    Up,
    /// Serves, and something is not as it should be: checks begin to fail, or a backup stands in.
    Doubt,
    /// Does not serve, and should.
    Down,
    /// Taken out by somebody.
    Apart,
}

impl Mood {
    /// Its name in the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Doubt => "doubt",
            Self::Down => "down",
            Self::Apart => "apart",
        }
    }

    fn of(status: &str) -> Self {
        match status.split(' ').next().unwrap_or_default() {
            "UP" if status.len() > 2 => Self::Doubt,
            "UP" | "OPEN" | "no" => Self::Up,
            "DOWN" | "STOP" => Self::Down,
            _ => Self::Apart,
        }
    }
}

/// A frontend, server or backend.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// Its name in the page: a letter and its numbers, `s3.1`.
    pub(super) key: String,
    /// The proxy's place in the topology, and a server's in its backend.
    pub(super) place: (usize, usize),
    pub(super) mood: Mood,
    /// One for each of [`COLUMNS`].
    pub(super) cells: Vec<Cell>,
    /// `svname`.
    pub(super) name: String,
    /// Address or balance, where they may be shown.
    pub(super) legend: String,
    /// Who serves, of backends.
    pub(super) serving: Option<Serving>,
}

/// Who gets a backend's new sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Serving {
    /// In a sentence.
    pub(super) text: String,
    pub(super) mood: Mood,
    /// The one without whom nobody would.
    pub(super) last: Option<String>,
}

impl Item {
    /// A cell by its column's name.
    pub(super) fn cell(&self, name: &str) -> Option<&Cell> {
        let place = COLUMNS.iter().position(|column| column.name == name)?;
        self.cells.get(place)
    }

    /// What has changed since `before`, or all of it; `None`: nothing.
    fn changes(&self, before: Option<&Self>) -> Option<Json> {
        let mut cells = Map::new();
        for (at, (column, cell)) in COLUMNS.iter().zip(&self.cells).enumerate() {
            let old = before.and_then(|before| before.cells.get(at));
            if old.is_none_or(|old| cell.differs(old)) {
                cells.insert(column.name.to_owned(), cell.json());
            }
        }
        if let Some(serving) = &self.serving
            && before.is_none_or(|before| before.serving != self.serving)
        {
            cells.insert("serving".into(), json!(serving.text));
            cells.insert("last".into(), json!(serving.last));
        }
        let moved = before.is_none_or(|before| before.mood != self.mood);
        (moved || !cells.is_empty())
            .then(|| json!({"k": self.key, "m": self.mood.name(), "c": cells}))
    }
}

/// All there is to show.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) items: Vec<Item>,
    /// How all is, in a sentence.
    pub(super) verdict: (String, Mood),
    /// `CurrConns`, `Maxconn`, `SessRate`, `Uptime`: by their names in `show info`.
    pub(super) facts: Vec<(&'static str, String)>,
    /// When, in milliseconds since 1970.
    pub(super) wall_ms: u64,
}

/// The facts of the process that change and are shown.
const FACTS: [&str; 4] = ["Uptime", "CurrConns", "Maxconn", "SessRate"];

impl Board {
    /// As it is now. `shown`: which proxies, by their place.
    pub(super) fn now(desk: &Desk, shown: &dyn Fn(&Proxy) -> bool, legends: bool) -> Self {
        let plane = &desk.plane;
        let everything = Selection {
            proxy: None,
            kinds: -1,
            server: -1,
            no_maint: false,
            up: false,
        };
        let rows = stat::pick(plane, &everything, legends, &column::picked());
        let wall_ms = Clock::get().wall_ms(plane.now());
        let topology = plane.topology();
        let rows = rows.unwrap_or_default().into_iter();
        let items: Vec<_> = rows
            .filter(|row| shown(&topology.proxies[row.place.0]))
            .map(|row| item(plane, row, wall_ms / 1000))
            .collect();
        let values = info::values(desk).into_iter();
        Self {
            verdict: verdict(plane, &items),
            facts: values.filter(|(name, _)| FACTS.contains(name)).collect(),
            items,
            wall_ms,
        }
    }

    /// What is to be told of it to one who knows `before`, or nothing yet. `shown` leaves proxies out.
    pub(super) fn message(
        &self,
        before: Option<&Self>,
        shown: &dyn Fn(usize) -> bool,
    ) -> Map<String, Json> {
        // Items come and go together with the configuration's: as long as they are the same, they stand side by side.
        let before = before.filter(|before| before.items.len() == self.items.len());
        let rows = self
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| shown(item.place.0));
        let rows = rows.filter_map(|(at, item)| {
            let old = before.map(|before| &before.items[at]);
            item.changes(old.filter(|old| old.key == item.key))
        });
        let facts = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        let mut message = Map::new();
        message.insert("now".into(), json!(self.wall_ms));
        message.insert("rows".into(), rows.collect());
        let size = self.items.iter().filter(|item| shown(item.place.0)).count();
        message.insert("size".into(), json!(size));
        message.insert("facts".into(), Json::Object(facts.collect()));
        message.insert(
            "verdict".into(),
            json!([self.verdict.0, self.verdict.1.name()]),
        );
        message
    }
}

fn item(plane: &Plane, row: Row, wall: u64) -> Item {
    let letter = match row.kind {
        Kind::Frontend => 'f',
        Kind::Backend => 'b',
        Kind::Server => 's',
        Kind::Listener => 'l',
    };
    let cells = column::cells(&row, wall);
    let status = column::status(&cells);
    let proxy = &plane.topology().proxies[row.place.0];
    let service = proxy
        .back
        .as_ref()
        .filter(|_| row.kind == Kind::Backend && is_service(proxy));
    let serving = service.map(serving);
    let mood = match &serving {
        Some(serving) => serving.mood,
        None => Mood::of(status),
    };
    Item {
        kind: row.kind,
        key: format!("{letter}{}.{}", row.proxy, row.id),
        place: row.place,
        mood,
        name: column::name(&row),
        legend: column::legend(&row),
        cells,
        serving,
    }
}

/// A backend that clients' sessions go to.
pub(super) fn is_service(proxy: &Proxy) -> bool {
    let conf = proxy.conf();
    conf.pages.is_none() && !conf.disabled && proxy.back.is_some()
}

/// Servers that are named one by one; of more the number is told.
const NAMED: usize = 4;

fn serving(back: &Backend) -> Serving {
    let Share { servers, usable } = back.share();
    let backup = servers.iter().any(|server| server.conf.backup);
    let names: Vec<&str> = servers.iter().map(|server| &**server.name()).collect();
    let text = match names[..] {
        [] => return nobody(),
        [one] if backup => format!("{one}, a backup, stands in"),
        [one] => format!("{one} serves"),
        [ref some @ .., last] if names.len() <= NAMED => {
            let verb = if backup {
                ", backups, stand in"
            } else {
                " serve"
            };
            format!("{} and {last}{verb}", some.join(", "))
        }
        _ => {
            let kind = if backup {
                "backups stand in"
            } else {
                "servers serve"
            };
            format!("{} of {} {kind}", names.len(), back.servers().len())
        }
    };
    Serving {
        text,
        mood: if backup { Mood::Doubt } else { Mood::Up },
        last: (usable == 1).then(|| names[0].to_owned()),
    }
}

fn nobody() -> Serving {
    Serving {
        text: "nobody serves".to_owned(),
        mood: Mood::Down,
        last: None,
    }
}

/// What an operator wants to know first.
fn verdict(plane: &Plane, items: &[Item]) -> (String, Mood) {
    let name = |item: &Item| plane.topology().proxies[item.place.0].name().to_string();
    let of = |mood: Mood| {
        let services = items
            .iter()
            .filter(|item| item.serving.is_some() && item.mood == mood);
        services.map(name).collect::<Vec<_>>()
    };
    let (dark, backup) = (of(Mood::Down), of(Mood::Doubt));
    let down = |item: &&Item| item.kind == Kind::Server && item.mood == Mood::Down;
    let down = items.iter().filter(down).count();
    let servers = match down {
        0 => String::new(),
        1 => " 1 server is DOWN.".to_owned(),
        many => format!(" {many} servers are DOWN."),
    };
    let listed = |names: &[String]| match names {
        [one] => format!("{one} is"),
        names if names.len() <= NAMED => format!("{} are", names.join(", ")),
        names => format!("{} services are", names.len()),
    };
    match (dark.is_empty(), backup.is_empty()) {
        (false, _) => (
            format!("{} served by nobody.{servers}", listed(&dark)),
            Mood::Down,
        ),
        (true, false) => (
            format!("{} on backup.{servers}", listed(&backup)),
            Mood::Doubt,
        ),
        (true, true) if down > 0 => (format!("All services are served.{servers}"), Mood::Doubt),
        (true, true) => ("All services are served.".to_owned(), Mood::Up),
    }
}
