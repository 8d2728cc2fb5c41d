//! `show stat`: a row per frontend, server and backend, a column per row of [`fields::FIELDS`], written by [`write`]
//! in three ways.

mod fields;
mod listener;
mod write;

use std::sync::Arc;

use config::model;
use engine::backend::Backend;
use engine::controller::BackendState;
use engine::frontend::Frontend;
use engine::health::Health;
use engine::server::Server;
use engine::{Plane, Proxy};

use fields::{FIELDS, Field};
use listener::ListenerRow;
pub(crate) use write::{RESOLVERS, csv, json, typed};

/// A frontend's row.
struct FrontRow<'a> {
    proxy: &'a Proxy,
    front: &'a Frontend,
    now: u64,
}

/// A server's row.
struct ServerRow<'a> {
    proxy: &'a Proxy,
    back: &'a Backend,
    server: &'a Server,
    health: &'a Health,
    now: u64,
    /// Addresses are not for everyone's eyes: from level operator on.
    legends: bool,
}

/// A backend's row.
struct BackRow<'a> {
    proxy: &'a Proxy,
    conf: &'a model::Back,
    back: &'a Backend,
    state: BackendState,
    servers: &'a [Arc<Server>],
    healths: Vec<&'a Health>,
    now: u64,
    legends: bool,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, which is not zero.
    Empty,
    Number(u64),
    Signed(i64),
    Text(String),
}

/// The objects `show stat <iid> <type> <sid>` asks for (MGT 9.3): -1 means any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection<'s> {
    /// Name or number of the proxy; `None`: all.
    pub(crate) proxy: Option<&'s str>,
    /// 1 frontends, 2 backends, 4 servers, 8 listeners.
    pub(crate) kinds: i64,
    /// A server's number.
    pub(crate) server: i64,
    /// Leave out servers in maintenance.
    pub(crate) no_maint: bool,
    /// Leave out servers that are down.
    pub(crate) up: bool,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Frontend,
    Listener,
    Backend,
    Server,
}

/// A row: whose, and the value of each of [`FIELDS`].
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    /// `iid`.
    pub(crate) proxy: u32,
    /// `sid`.
    pub(crate) id: u32,
    /// The proxy's place in the topology, and a server's in its backend, a listener's in its frontend.
    pub(crate) place: (usize, usize),
    pub(crate) values: Vec<Value>,
}

const WHOLE: (u32, usize) = (0, 0);

impl Row {
    /// Of a frontend or backend as a whole: number and place 0.
    fn new(
        kind: Kind,
        proxy: &Proxy,
        (id, place): (u32, usize),
        columns: &[usize],
        value: impl Fn(&Field) -> Value,
    ) -> Self {
        Self {
            kind,
            proxy: proxy.conf().id,
            id,
            place: (proxy.index, place),
            values: columns.iter().map(|&at| value(&FIELDS[at])).collect(),
        }
    }
}

/// The rows that are asked for, in the order of the configuration, with all columns. `None`: no proxy has that name.
pub(crate) fn rows(plane: &Plane, selection: &Selection<'_>, legends: bool) -> Option<Vec<Row>> {
    const ALL: [usize; FIELDS.len()] = {
        let mut all = [0; FIELDS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = at;
            at += 1;
        }
        all
    };
    pick(plane, selection, legends, &ALL)
}

/// The same with these columns alone, by their places.
pub(crate) fn pick(
    plane: &Plane,
    selection: &Selection<'_>,
    legends: bool,
    columns: &[usize],
) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let controller = plane.controller().borrow();
    let now = plane.now();
    let wants = |kind: i64| selection.kinds & kind != 0;
    let wanted = wanted(plane, selection.proxy)?;
    let proxies = plane.topology().proxies.iter();
    for proxy in proxies.filter(|proxy| wanted.matches(proxy)) {
        if let Some(front) = proxy.front.as_ref().filter(|_| wants(1)) {
            let row = FrontRow { proxy, front, now };
            rows.push(Row::new(Kind::Frontend, proxy, WHOLE, columns, |field| {
                (field.front)(&row)
            }));
        }
        let listeners = proxy.front.as_ref().filter(|_| wants(8));
        rows.extend(listeners.into_iter().flat_map(|front| {
            let listeners = listeners_of(proxy, front, legends, columns);
            listeners.filter(|row| selection.server == -1 || selection.server == i64::from(row.id))
        }));
        let (Some(back), Some(conf)) = (&proxy.back, &proxy.conf().back) else {
            continue;
        };
        let servers = back.servers();
        let healths = servers
            .iter()
            .filter_map(|server| controller.health((proxy.index, server.index)));
        let healths: Vec<&Health> = healths.collect();
        for (server, &health) in servers.iter().zip(&healths).filter(|_| wants(4)) {
            let left_out = selection.no_maint && health.in_maint()
                || selection.up && !health.is_usable()
                || selection.server != -1 && selection.server != i64::from(server.conf.id);
            if !left_out {
                let row = ServerRow {
                    proxy,
                    back,
                    server,
                    health,
                    now,
                    legends,
                };
                let own = (server.conf.id, server.index);
                rows.push(Row::new(Kind::Server, proxy, own, columns, |field| {
                    (field.server)(&row)
                }));
            }
        }
        if wants(2) {
            let state = controller.backend(proxy.index);
            let row = BackRow {
                proxy,
                conf,
                back,
                state,
                servers: &servers,
                healths,
                now,
                legends,
            };
            rows.push(Row::new(Kind::Backend, proxy, WHOLE, columns, |field| {
                (field.back)(&row)
            }));
        }
    }
    Some(rows)
}

/// The names of all columns.
#[cfg(test)]
pub(crate) fn columns() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|field| field.name)
}

/// Rows of a frontend's listeners, where `option socket-stats` asks for them.
fn listeners_of<'p>(
    proxy: &'p Proxy,
    front: &'p Frontend,
    legends: bool,
    columns: &'p [usize],
) -> impl Iterator<Item = Row> + use<'p> {
    let conf = proxy.conf().front.as_ref().filter(|conf| conf.socket_stats);
    let binds = conf
        .into_iter()
        .flat_map(|conf| conf.binds.iter().enumerate());
    binds.filter_map(move |(place, bind)| {
        let row = ListenerRow {
            proxy,
            bind,
            listening: front.listener(place)?,
            open: front.has_room(),
            legends,
        };
        let own = (bind.id, place);
        Some(Row::new(Kind::Listener, proxy, own, columns, |field| {
            row.value(field.name)
        }))
    })
}

/// The place of a column, by its name.
pub(crate) fn column(name: &str) -> Option<usize> {
    FIELDS.iter().position(|field| field.name == name)
}

/// Whether a column of that name holds text.
pub(crate) fn is_text(name: &str) -> bool {
    let field = FIELDS.iter().find(|field| field.name == name);
    field.is_some_and(|field| field.tag.ends_with(":str"))
}

/// Which proxies are meant.
enum Wanted {
    All,
    Id(i64),
    Index(usize),
}

impl Wanted {
    fn matches(&self, proxy: &Proxy) -> bool {
        match *self {
            Self::All => true,
            Self::Id(id) => i64::from(proxy.conf().id) == id,
            Self::Index(index) => proxy.index == index,
        }
    }
}

/// A name must exist; a number that nobody has selects nothing.
fn wanted(plane: &Plane, word: Option<&str>) -> Option<Wanted> {
    let Some(word) = word else {
        return Some(Wanted::All);
    };
    match word.parse() {
        Ok(-1) => Some(Wanted::All),
        Ok(id) => Some(Wanted::Id(id)),
        Err(_) => plane
            .topology()
            .find(word)
            .map(|proxy| Wanted::Index(proxy.index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_stand_where_tools_look() {
        let at = |name: &str| FIELDS.iter().position(|field| field.name == name);
        for (name, place) in [
            ("pxname", 0),
            ("status", 17),
            ("check_status", 36),
            ("lastsess", 55),
            ("addr", 73),
            ("algo", 76),
            ("agg_check_status", 102),
            ("srid", 103),
            ("resbout", 117),
        ] {
            assert_eq!(at(name), Some(place), "{name}");
        }
        assert_eq!(at("-"), Some(118), "behind it is what is ours");
    }
}
