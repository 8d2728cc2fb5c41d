//! Commands about stick tables: `show`, `set` and `clear table` (MGT 9.3).

use config::model::Level;
use engine::stick::{Filter, Key, Operator, Table};

use super::{Answer, Call};

/// A filter on data has at most that many conditions.
const CONDITIONS: usize = 4;

const HOW_TO_SHOW: &str =
    "Optional argument only supports \"data.<store_data_type>\" <operator> <value> and key <key>";
const HOW_TO_SET: &str = "Required arguments: <table> key <key> [data.<store_data_type> <value>]*";
const HOW_TO_CLEAR: &str = "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>";

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
    let filter = filter(table, call.args, HOW_TO_SHOW)?;
    let mut out = table.header(name, now);
    if call.caller.level < Level::Operator {
        out.push_str("# contents not dumped due to insufficient privileges\n");
        return Ok(out);
    }
    let entries = table.dump(&filter, now);
    if entries.is_empty() && matches!(filter, Filter::Key(_) | Filter::Pointer(_)) {
        return Ok(String::new());
    }
    out.push_str(&entries);
    Ok(out)
}

/// `set table <table> key <key> [data.<type> <value>]*`.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let table = find(call, call.arg(0).ok_or(HOW_TO_SET)?)?;
    let key = match (call.arg(1), call.arg(2)) {
        (Some("key"), Some(key)) => parse_key(table, key)?,
        (Some("key"), None) => return Err("Key value expected".into()),
        (Some(word), _) if word.starts_with("data.") => {
            return Err(
                "content-based lookup is only supported with the \"show\" and \"clear\" actions"
                    .into(),
            );
        }
        _ => return Err(HOW_TO_SET.into()),
    };
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
    let table = find(call, call.arg(0).ok_or(HOW_TO_CLEAR)?)?;
    let filter = filter(table, call.args, HOW_TO_CLEAR)?;
    table.clear(&filter, call.desk.plane.now());
    Ok(String::new())
}

fn find<'c>(call: &'c Call<'_>, name: &str) -> Result<&'c Table, String> {
    let mut proxies = call.desk.plane.topology().proxies.iter();
    proxies
        .find(|proxy| proxy.table.is_some() && **proxy.name() == *name)
        .and_then(|proxy| proxy.table.as_ref())
        .ok_or_else(|| "No such table".into())
}

/// What follows the table's name: `key <key>`, `ptr <0x...>`, or conditions on data, all of which must hold.
fn filter(table: &Table, args: &[String], usage: &str) -> Result<Filter, String> {
    let words = &args[1..];
    match words.first().map(String::as_str) {
        None => return Ok(Filter::All),
        Some("key") => {
            let key = words.get(1).ok_or("Key value expected")?;
            return Ok(Filter::Key(parse_key(table, key)?));
        }
        Some("ptr") => {
            let pointer = words.get(1).ok_or("Pointer value expected")?;
            let digits = pointer.strip_prefix("0x");
            let pointer = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            return pointer
                .map(Filter::Pointer)
                .ok_or_else(|| "Invalid pointer: 0x and hexadecimal digits are expected".into());
        }
        Some(word) if word.starts_with("data.") => {}
        Some(_) => return Err(usage.into()),
    }
    let mut rules = Vec::new();
    for (at, rule) in words.chunks(3).take(CONDITIONS).enumerate() {
        rules.push(
            condition(table, rule).map_err(|why| format!("Filter entry #{}: {why}", at + 1))?,
        );
    }
    match words.get(CONDITIONS * 3) {
        None => Ok(Filter::Data(rules)),
        // The words are counted with those of the command.
        Some(_) => Err(format!(
            "Detected extra data in filter, {}th word of input, after '{}'",
            CONDITIONS * 3 + 4,
            words[CONDITIONS * 3 - 1]
        )),
    }
}

fn condition(table: &Table, words: &[String]) -> Result<(String, Operator, u64), String> {
    let name = words[0].strip_prefix("data.").unwrap_or_default();
    table.stores(name).map_err(|error| error.to_string())?;
    let operator = words.get(1).and_then(|word| Operator::parse(word));
    let operator = operator
        .ok_or("Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"")?;
    let value = words.get(2).and_then(|word| word.parse().ok());
    let value = value.ok_or("Require a valid integer value to compare against")?;
    Ok((name.to_owned(), operator, value))
}

/// HAProxy takes what is no key of the table for zero; that would change another entry than was meant.
fn parse_key(table: &Table, text: &str) -> Result<Key, String> {
    Key::parse(text, table.key_type()).ok_or_else(|| format!("Invalid key '{text}' for this table"))
}
