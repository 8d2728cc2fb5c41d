use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use config::model::{KeyType, StickTable, StoreType};

use super::*;
use crate::sample::Value;

fn spec(size: u64, expire: Option<u64>) -> StickTable {
    let stored = |name| StoreType { name, period: None };
    StickTable {
        key: KeyType::Ipv4,
        size,
        expire: expire.map(Duration::from_millis),
        nopurge: false,
        srvkey_addr: false,
        store: vec![
            stored("server_id"),
            stored("gpc0"),
            StoreType {
                name: "conn_rate",
                period: Some(Duration::from_secs(10)),
            },
            stored("server_key"),
        ],
    }
}

fn key(number: u32) -> Key {
    Key::Ipv4(Ipv4Addr::from_bits(number))
}

#[test]
fn an_entry_lives_from_its_last_touch() {
    let table = Table::new(&spec(10, Some(100)));
    table.store_server(key(1), 2, "mail2", 0);
    assert_eq!(
        table.touch(&key(1), 90).and_then(|found| found.server_id),
        Some(2)
    );
    assert_eq!(
        table
            .touch(&key(1), 180)
            .and_then(|found| found.server_key)
            .as_deref(),
        Some("mail2")
    );
    assert_eq!(table.touch(&key(1), 280), None);
    assert_eq!(table.used(280), 0);
}

#[test]
fn a_full_table_forgets_the_oldest_or_refuses_the_newest() {
    let table = Table::new(&spec(2, None));
    for number in 1..=3 {
        table.store_server(key(number), number, "s", u64::from(number));
    }
    assert_eq!(table.touch(&key(1), 9), None);
    assert!(table.touch(&key(2), 9).is_some() && table.touch(&key(3), 9).is_some());
    let table = Table::new(&StickTable {
        nopurge: true,
        ..spec(2, None)
    });
    for number in 1..=3 {
        table.store_server(key(number), number, "s", u64::from(number));
    }
    assert!(table.touch(&key(1), 9).is_some() && table.touch(&key(3), 9).is_none());
}

#[test]
fn dumps_look_like_haproxys() {
    let table = Table::new(&spec(1024, Some(60_000)));
    let data = [("gpc0".to_owned(), "5".to_owned())];
    table
        .set(
            Key::parse("1.2.3.4", KeyType::Ipv4).expect("a key"),
            &data,
            4,
        )
        .expect("stored");
    assert_eq!(
        table.header("be", 4),
        "# table: be, type: ip, size:1024, used:1\n"
    );
    assert_eq!(
        table.dump(&Filter::All, 8),
        "0x7f0000000040: key=1.2.3.4 use=0 exp=59996 shard=0 server_id=0 gpc0=5 conn_rate(10000)=0 server_key=-\n"
    );
    let more = |value| Filter::Data(vec![("gpc0".into(), Operator::Greater, value)]);
    assert!(table.dump(&more(5), 8).is_empty() && !table.dump(&more(4), 8).is_empty());
    assert_eq!(
        table.set(key(1), &[("nope".into(), "1".into())], 8),
        Err(StoreError::UnknownType)
    );
    assert_eq!(
        table.set(key(1), &[("gpc1".into(), "1".into())], 8),
        Err(StoreError::NotStored)
    );
    table.clear(&more(4), 8);
    assert_eq!(table.dump(&more(4), 8), "");
}

#[test]
fn samples_become_keys_where_they_can() {
    let ip = |text: &str| Value::Ip(text.parse::<IpAddr>().expect("an address"));
    let cast = |value, kind| Key::cast(&value, kind).map(|key| key.to_string());
    assert_eq!(
        cast(ip("192.0.2.1"), KeyType::Ipv4).as_deref(),
        Some("192.0.2.1")
    );
    assert_eq!(
        cast(ip("::ffff:192.0.2.1"), KeyType::Ipv4).as_deref(),
        Some("192.0.2.1")
    );
    assert_eq!(
        cast(ip("2002:c000:201::"), KeyType::Ipv4).as_deref(),
        Some("192.0.2.1")
    );
    assert_eq!(cast(ip("2001:db8::1"), KeyType::Ipv4), None);
    assert_eq!(
        cast(ip("192.0.2.1"), KeyType::Ipv6).as_deref(),
        Some("::ffff:192.0.2.1")
    );
    assert_eq!(
        cast(Value::Str("abcdef".into()), KeyType::String(3)).as_deref(),
        Some("abc")
    );
    assert_eq!(cast(Value::Int(7), KeyType::Integer).as_deref(), Some("7"));
}

/// Random use against a list kept by hand; the seed tells a failure apart.
#[test]
fn a_table_is_a_list_that_forgets() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (size, expire) = (random.u64(1..20), random.u64(1..50));
        let table = Table::new(&spec(size, Some(expire)));
        let mut model: VecDeque<(u32, u32, u64)> = VecDeque::new();
        let mut now = 0;
        for _ in 0..300 {
            now += random.u64(0..5);
            model.retain(|(_, _, touched)| touched + expire > now);
            let number = random.u32(0..30);
            let known = model.iter().position(|(key, ..)| *key == number);
            if random.bool() {
                let found = table
                    .touch(&key(number), now)
                    .and_then(|found| found.server_id);
                let expected = known.and_then(|place| model.remove(place));
                assert_eq!(found, expected.map(|(_, id, _)| id), "seed {seed}");
                model.extend(expected.map(|(key, id, _)| (key, id, now)));
            } else {
                let id = random.u32(1..4);
                table.store_server(key(number), id, "s", now);
                if let Some(place) = known {
                    model.remove(place);
                } else if model.len() as u64 == size {
                    model.pop_front();
                }
                model.push_back((number, id, now));
            }
            assert_eq!(table.used(now), model.len() as u64, "seed {seed}");
        }
    }
}
