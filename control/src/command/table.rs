//! Commands about stick tables: `show`, `set` and `clear table` (MGT 9.3).

use config::model::Level;
use engine::stick::{Filter, Key, Operator, Table};

use super::{Answer, Call};

const WHICH: &str = "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>";

/// `show table [<table> [<filter>]]`: all headers, or one table with its entries.
pub(super) fn show(call: &mut Call<'_>) -> Answer {
    let now = call.desk.plane.now();
    let Some(name) = call.arg(0) else {
        let proxies = &call.desk.plane.topology().proxies;
        let headers = proxies
            .iter()
            .filter_map(|proxy| Some(proxy.table.as_ref()?.header(proxy.name(), now)));
        return Ok(headers.collect());
    };
    let table = find(call, name)?;
    let filter = filter(table, &call.args[1..])?;
    let mut out = table.header(name, now);
    if call.caller.level < Level::Operator {
        out.push_str("# contents not dumped due to insufficient privileges\n");
    } else {
        out.push_str(&table.dump(&filter, now));
    }
    Ok(out)
}

/// `set table <table> key <key> [data.<type> <value>]*`.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let (Some(name), Some("key"), Some(key)) = (call.arg(0), call.arg(1), call.arg(2)) else {
        return Err(
            "Required arguments: <table> key <key> [data.<store_data_type> <value>]*".into(),
        );
    };
    let table = find(call, name)?;
    let key = parse_key(table, key)?;
    let mut data = Vec::new();
    for pair in call.args[3..].chunks(2) {
        let name = pair[0]
            .strip_prefix("data.")
            .ok_or("\"data.<type>\" followed by a value expected")?;
        let value = pair
            .get(1)
            .ok_or("Require a valid integer value to store")?;
        data.push((name.to_owned(), value.clone()));
    }
    table
        .set(key, &data, call.desk.plane.now())
        .map_err(|error| error.to_string())?;
    Ok(String::new())
}

/// `clear table <table> [<filter>]`: entries that sessions use stay.
pub(super) fn clear(call: &mut Call<'_>) -> Answer {
    let name = call.arg(0).ok_or(WHICH)?;
    let table = find(call, name)?;
    let filter = filter(table, &call.args[1..])?;
    table.clear(&filter, call.desk.plane.now());
    Ok(String::new())
}

fn find<'c>(call: &'c Call<'_>, name: &str) -> Result<&'c Table, String> {
    let proxy = call.desk.plane.topology().find(name);
    proxy
        .and_then(|proxy| proxy.table.as_ref())
        .ok_or_else(|| "No such table".into())
}

/// `key <key>`, or `data.<type> <operator> <value>`, several of which must all hold.
fn filter(table: &Table, args: &[String]) -> Result<Filter, String> {
    let filter = match args {
        [] => Filter::All,
        [word, key] if word == "key" => Filter::Key(parse_key(table, key)?),
        _ => {
            let rules = args
                .chunks(3)
                .enumerate()
                .map(|(at, rule)| rule_of(at + 1, rule));
            Filter::Data(rules.collect::<Result<_, _>>()?)
        }
    };
    filter
        .check(table.spec())
        .map_err(|error| error.to_string())?;
    Ok(filter)
}

fn rule_of(number: usize, words: &[String]) -> Result<(String, Operator, u64), String> {
    let name = words[0].strip_prefix("data.").ok_or(WHICH)?;
    let operator = words.get(1).and_then(|word| Operator::parse(word)).ok_or_else(|| {
        format!(
            "Filter entry #{number}: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\""
        )
    })?;
    let value = words.get(2).and_then(|word| word.parse().ok());
    let value = value.ok_or_else(|| {
        format!("Filter entry #{number}: Require a valid integer value to compare against")
    })?;
    Ok((name.to_owned(), operator, value))
}

fn parse_key(table: &Table, text: &str) -> Result<Key, String> {
    Key::parse(text, table.key_type()).ok_or_else(|| format!("Invalid key '{text}' for this table"))
}
