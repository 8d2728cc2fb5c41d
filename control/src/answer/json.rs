//! An answer as JSON (RFC 8259): tables become arrays of objects, facts an object, and what is neither a string.

use super::{Table, fact};
use crate::{info, stat, typed};

/// One value, on one line. Empty answers are `null`; what is JSON already stays as it is.
pub fn json(answer: &str) -> String {
    let answer = answer.trim_end();
    let read = [already, statistics, sticky, listed, sessions, facts];
    let read = read.into_iter().find_map(|read| read(answer));
    match read {
        _ if answer.is_empty() => "null".to_owned(),
        Some(value) => value,
        None => typed::string(answer),
    }
}

/// `show stat json`, `show info json`, `show schema json`.
fn already(answer: &str) -> Option<String> {
    let whole = (answer.starts_with("[{") || answer.starts_with("[[{")) && answer.ends_with(']')
        || answer.starts_with("{\"") && answer.ends_with('}');
    (whole && !answer.contains('\n')).then(|| answer.to_owned())
}

/// `show stat`.
fn statistics(answer: &str) -> Option<String> {
    let header = answer.lines().next()?;
    let table = Table::parse(answer).filter(|_| header.contains(','))?;
    if table.places.contains_key("pxname") {
        let rows = table.rows.iter().map(|cells| {
            let pairs = table.names.iter().zip(cells);
            let pairs = pairs.filter(|(name, _)| *name != "-");
            object(pairs.map(|(name, cell)| (name.as_str(), value(name, cell))))
        });
        Some(array(rows))
    } else {
        None
    }
}

/// `show table`: each with what its header says, and its entries.
fn sticky(answer: &str) -> Option<String> {
    if !answer.starts_with("# table: ") {
        return None;
    }
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for line in answer.lines() {
        if let Some(header) = line.strip_prefix("# table: ") {
            let mut parts = header.split(", ");
            let name = ("name", typed::string(parts.next().unwrap_or_default()));
            let rest = parts.flat_map(|part| part.split(','));
            let rest = rest.filter_map(|part| part.split_once(':'));
            let rest = rest.map(|(name, cell)| (name.trim(), value(name.trim(), cell.trim())));
            tables.push((members(std::iter::once(name).chain(rest)), Vec::new()));
        } else if let (Some(entry), Some((_, entries))) = (worded(line), tables.last_mut()) {
            entries.push(entry);
        }
    }
    let tables = tables.into_iter();
    Some(array(tables.map(|(head, entries)| {
        format!("{{{head},\"entries\":{}}}", array(entries.into_iter()))
    })))
}

/// `show servers state`, `show servers conn`, `show backend`, `show cli sockets`: words under a line of names.
fn listed(answer: &str) -> Option<String> {
    let mut lines = answer.lines();
    let header = lines.find(|line| *line != "1")?;
    let names: Vec<&str> = header.strip_prefix("# ")?.split_whitespace().collect();
    let named = |name: &&str| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-/[]".contains(c))
    };
    if !names.iter().all(named) {
        return None;
    }
    let rows = lines.filter(|line| !line.is_empty()).map(|line| {
        let mut cells = line.split_whitespace();
        let mut pairs = Vec::new();
        for name in &names {
            match name.split_once('[') {
                // One value for each thread, up to the end of the line.
                Some((name, _)) => {
                    let rest = cells.by_ref().map(|cell| value(name, cell));
                    pairs.push((name, array(rest)));
                }
                None => pairs.push((name, value(name, cells.next().unwrap_or_default()))),
            }
        }
        pairs.retain(|(name, _)| *name != "-");
        object(pairs.into_iter())
    });
    Some(array(rows))
}

/// `show sess`: a line for each.
fn sessions(answer: &str) -> Option<String> {
    let lines: Option<Vec<_>> = answer.lines().map(worded).collect();
    lines.map(|lines| array(lines.into_iter()))
}

/// `show info`, `show activity`: every line is a name and a value.
fn facts(answer: &str) -> Option<String> {
    let facts: Option<Vec<_>> = answer.lines().map(fact).collect();
    let facts = facts?.into_iter();
    Some(object(facts.map(|(name, cell)| (name, value(name, cell)))))
}

/// `0x1f: key=10.0.0.1 use=0 rq[i=5]`: `id`, and a member for each word.
fn worded(line: &str) -> Option<String> {
    let (id, words) = line.split_once(": ")?;
    if !id.starts_with("0x") {
        return None;
    }
    let pairs = words.split_whitespace().filter_map(|word| {
        let at = word.find(['=', '['])?;
        let (name, cell) = (&word[..at], &word[at + 1..]);
        let cell = if word[at..].starts_with('[') {
            cell.strip_suffix(']').unwrap_or(cell)
        } else {
            cell
        };
        Some((name, value(name, cell)))
    });
    Some(object(
        std::iter::once(("id", typed::string(id))).chain(pairs),
    ))
}

/// Names whose values are text, whatever they look like, beside those that the tables of columns know.
const TEXTS: &[&str] = &[
    "be_name",
    "srv_name",
    "srv_addr",
    "srv_fqdn",
    "srvrecord",
    "srv_check_addr",
    "srv_agent_addr",
    "bkname/svname",
    "bkid/svid",
    "addr",
    "name",
    "socket",
    "key",
    "server_key",
    "src",
    "fe",
    "be",
    "srv",
    "proto",
    "age",
    "ts",
    "rq",
    "rp",
];

/// Empty is `null`, a number a number, the rest text. `-` stands for nothing where words are in a line.
fn value(name: &str, cell: &str) -> String {
    if cell.is_empty() || cell == "-" {
        return "null".to_owned();
    }
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let plain = !digits.is_empty()
        && digits.len() <= 15
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if plain && !TEXTS.contains(&name) && !stat::is_text(name) && !info::is_text(name) {
        cell.to_owned()
    } else {
        typed::string(cell)
    }
}

fn members<'n>(pairs: impl Iterator<Item = (&'n str, String)>) -> String {
    typed::join(pairs.map(|(name, value)| format!("{}:{value}", typed::string(name))))
}

fn object<'n>(pairs: impl Iterator<Item = (&'n str, String)>) -> String {
    format!("{{{}}}", members(pairs))
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", typed::join(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_answer() {
        for (answer, said) in [
            ("\n", "null"),
            ("No such server.\n", "\"No such server.\""),
            (
                "# pxname,svname,scur,status,-,\nbe,10,7,UP 1/3,-,\nbe,s2,,,-,\n\n",
                r#"[{"pxname":"be","svname":"10","scur":7,"status":"UP 1/3"},{"pxname":"be","svname":"s2","scur":null,"status":null}]"#,
            ),
            (
                "1\n# be_id be_name srv_fqdn srv_port\n3 25 - 25525\n",
                r#"[{"be_id":3,"be_name":"25","srv_fqdn":null,"srv_port":25525}]"#,
            ),
            ("# name\nbe\n", r#"[{"name":"be"}]"#),
            (
                "# bkname/svname port - idle_per_thr[2]\nbe/s1 25 - 0 1\n",
                r#"[{"bkname/svname":"be/s1","port":25,"idle_per_thr":[0,1]}]"#,
            ),
            (
                "# table: be, type: ip, size:1024, used:1\n0x1: key=::1 use=0 conn_rate(10000)=3\n",
                r#"[{"name":"be","type":"ip","size":1024,"used":1,"entries":[{"id":"0x1","key":"::1","use":0,"conn_rate(10000)":3}]}]"#,
            ),
            (
                "0x1: proto=tcpv4 src=127.0.0.1:5 rq[i=5] exp=\n",
                r#"[{"id":"0x1","proto":"tcpv4","src":"127.0.0.1:5","rq":"i=5","exp":null}]"#,
            ),
            (
                "Name: HAProxy\nPid: 12\nVersion: 34\nUptime: 0d 0h00m12s\n",
                r#"{"Name":"HAProxy","Pid":12,"Version":"34","Uptime":"0d 0h00m12s"}"#,
            ),
            ("[[{\"objType\":1}]]\n", "[[{\"objType\":1}]]"),
        ] {
            assert_eq!(json(answer), said, "{answer}");
        }
    }
}
