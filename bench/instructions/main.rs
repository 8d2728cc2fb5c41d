//! `instructions <work> <times>`: does one kind of work so often, for `bench/count` to count its instructions.
//!
//! Without arguments: the names of all kinds, and how often each is done per time. Only what happens within `counted` is
//! counted, not what is prepared.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use config::model::{Balance, KeyType, StickTable, StoreType};
use config::{Source, load_sources};
use engine::balance::{Candidate, Load, Pick, Selector, Tried};
use engine::stick::{Key, Table};
use wire::smtp::Scanner;
use wire::syslog::{Format, Frame, Stamp};

/// Prepares, and returns what is counted.
type Work = fn() -> Box<dyn FnMut(u32)>;

/// Name, how often it is done each time, work.
const WORKS: &[(&str, u32, Work)] = &[
    ("configuration-of-1000-lines", 1, configuration),
    ("proxy-header-v1", 1000, proxy_v1),
    ("proxy-header-v2", 1000, proxy_v2),
    ("choose-roundrobin-of-8", 1000, round_robin),
    ("choose-leastconn-of-8", 1000, least_connections),
    ("stick-lookup-among-10000", 40_000, stick_lookup),
    ("stick-store-among-10000", 40_000, stick_store),
    ("scan-64-KiB-of-mail", 10, scan_mail),
    ("scan-64-KiB-of-dots", 10, scan_dots),
    ("frame-a-log-line", 1000, frame),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, times] = &arguments[..] else {
        for (name, each, _) in WORKS {
            println!("{name} {each}");
        }
        return ExitCode::SUCCESS;
    };
    let work = WORKS.iter().find(|(known, ..)| known == name);
    let (Some((_, each, prepare)), Ok(times)) = (work, times.parse::<u32>()) else {
        eprintln!("instructions: no such work: {name} {times}");
        return ExitCode::from(2);
    };
    let mut work = prepare();
    counted(&mut *work, times * each);
    ExitCode::SUCCESS
}

/// What is counted: valgrind is told this name.
#[inline(never)]
fn counted(work: &mut dyn FnMut(u32), times: u32) {
    for number in 0..times {
        work(number);
    }
}

fn configuration() -> Box<dyn FnMut(u32)> {
    let mut text = String::from(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5m\n  timeout server 5m\n",
    );
    for number in 0..199 {
        text += &format!(
            "backend farm{number}\n  balance leastconn\n  stick-table type ip size 10k expire 30m\n  \
             server one 192.0.2.1:25 check inter 2s fall 3\n  server two 192.0.2.2:25 check backup\n"
        );
    }
    Box::new(move |_| {
        let source = Source {
            name: "long.cfg".into(),
            text: text.clone().into_bytes(),
        };
        let loaded = load_sources(&[source], &|_| None, &|_| None);
        assert!(black_box(loaded.model).is_some());
    })
}

fn proxy_v1() -> Box<dyn FnMut(u32)> {
    let header = b"PROXY TCP4 198.51.100.7 203.0.113.9 51234 25\r\n";
    Box::new(|_| {
        let _ = black_box(wire::proxy::parse(black_box(header)));
    })
}

fn proxy_v2() -> Box<dyn FnMut(u32)> {
    let addresses = wire::proxy::Addresses {
        source: ([198, 51, 100, 7], 51234).into(),
        destination: ([203, 0, 113, 9], 25).into(),
    };
    let mut header = Vec::new();
    wire::proxy::encode_v2(Some(&addresses), &Default::default(), &mut header);
    Box::new(move |_| {
        let _ = black_box(wire::proxy::parse(black_box(&header)));
    })
}

fn round_robin() -> Box<dyn FnMut(u32)> {
    choose(Balance::RoundRobin)
}

fn least_connections() -> Box<dyn FnMut(u32)> {
    choose(Balance::LeastConn)
}

fn choose(balance: Balance) -> Box<dyn FnMut(u32)> {
    let candidate = |index| Candidate {
        index,
        id: index as u32 + 1,
        usable: true,
        backup: false,
        weight: index as u32 + 1,
        reserve: false,
        last_resort: true,
    };
    let candidates: Vec<_> = (0..8).map(candidate).collect();
    let selector = Selector::new(&candidates, balance, false);
    let tried = Tried::default();
    Box::new(move |number| {
        let loads = |server: usize| Load {
            served: number.wrapping_mul(server as u32 + 7) % 100,
            queued: 0,
            maxconn: 100,
        };
        black_box(selector.choose(&Pick {
            source: Some(IpAddr::V4(Ipv4Addr::from(number))),
            loads: &loads,
            tried: &tried,
        }));
    })
}

const ENTRIES: u32 = 10_000;

/// Tables hash with a key of their own each; what a lookup costs is told by several.
const TABLES: usize = 16;

fn tables() -> Vec<Table> {
    (0..TABLES).map(|_| table()).collect()
}

fn table() -> Table {
    let table = Table::new(&StickTable {
        key: KeyType::Ipv4,
        size: u64::from(ENTRIES) * 2,
        expire: None,
        nopurge: false,
        srvkey_addr: false,
        store: ["server_id", "server_key"].map(stored).into(),
    });
    for number in 0..ENTRIES {
        table.store_server(client(number), 1, "mail1", 0);
    }
    table
}

fn stored(name: &'static str) -> StoreType {
    StoreType { name, period: None }
}

fn client(number: u32) -> Key {
    Key::Ipv4(Ipv4Addr::from(number % ENTRIES))
}

fn stick_lookup() -> Box<dyn FnMut(u32)> {
    let tables = tables();
    Box::new(move |number| {
        let table = &tables[number as usize % TABLES];
        drop(black_box(table.touch(&client(number), 1)));
    })
}

fn stick_store() -> Box<dyn FnMut(u32)> {
    let tables = tables();
    Box::new(move |number| {
        let table = &tables[number as usize % TABLES];
        table.store_server(client(number), 2, "mail2", 1);
    })
}

fn scan_mail() -> Box<dyn FnMut(u32)> {
    scan(&[b'x'; 70])
}

fn scan_dots() -> Box<dyn FnMut(u32)> {
    scan(b"..")
}

/// 64 KiB of that line.
fn scan(line: &[u8]) -> Box<dyn FnMut(u32)> {
    let line = [line, b"\r\n"].concat();
    let mut body = line.repeat((64 << 10) / line.len());
    body.extend_from_slice(b".\r\n");
    Box::new(move |_| {
        let mut bytes = 0;
        black_box(Scanner::default().scan(black_box(&body), &mut |piece| bytes += piece.len()));
        black_box(bytes);
    })
}

fn frame() -> Box<dyn FnMut(u32)> {
    let mut out = Vec::with_capacity(512);
    Box::new(move |_| {
        out.clear();
        let frame = Frame {
            format: Format::Rfc3164,
            facility: 16,
            level: 6,
            stamp: Stamp::default(),
            host: Some("mx1"),
            tag: "posthouse",
            pid: 4711,
            max_len: 1024,
        };
        let text = "198.51.100.7:51234 [23/Nov/2026:20:46:18.482] smtp mail/mx1 0/1/2345 4711 -- 3/3/1/1/0 0/0";
        frame.write(black_box(text), &mut out);
        black_box(&out);
    })
}
