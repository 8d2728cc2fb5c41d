//! `stick-table` and `stick` (CFG 4.2, 11), and the samples they are about (CFG 7.3).

use super::{ALL, Args, BACK, DEFAULTS, Keyword};
use crate::diagnostic::{At, Fault};
use crate::draft::{Settings, StickDraft};
use crate::model::{Converter, Expression, Fetch, KeyType, StickTable, StoreType};

type Row = Keyword<Settings>;

/// Keywords about stick tables.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("stick-table", ALL.without(DEFAULTS), "type <type> size <n> [expire <time>] [nopurge] [srvkey name|addr] [store <types>]", (2, super::ANY), table, "A table that remembers clients; its name is the section's."),
    Row::new("stick on", BACK.without(DEFAULTS), "<sample> [table <name>]", (1, super::ANY), |a, s| stick(a, s, true, true), "Send a client to the server it had before."),
    Row::new("stick match", BACK.without(DEFAULTS), "<sample> [table <name>]", (1, super::ANY), |a, s| stick(a, s, true, false), "Look up, without remembering."),
    Row::new("stick store-request", BACK.without(DEFAULTS), "<sample> [table <name>]", (1, super::ANY), |a, s| stick(a, s, false, true), "Remember, without looking up."),
];

/// Data types of entries in the order HAProxy prints them, and whether a period belongs to them.
const TYPES: &[(&str, bool)] = &[
    ("server_id", false),
    ("gpt0", false),
    ("gpc0", false),
    ("gpc0_rate", true),
    ("conn_cnt", false),
    ("conn_rate", true),
    ("conn_cur", false),
    ("sess_cnt", false),
    ("sess_rate", true),
    ("http_req_cnt", false),
    ("http_req_rate", true),
    ("http_err_cnt", false),
    ("http_err_rate", true),
    ("bytes_in_cnt", false),
    ("bytes_in_rate", true),
    ("bytes_out_cnt", false),
    ("bytes_out_rate", true),
    ("gpc1", false),
    ("gpc1_rate", true),
    ("server_key", false),
    ("http_fail_cnt", false),
    ("http_fail_rate", true),
];

/// The types `stick` itself writes.
pub(crate) const SERVER_TYPES: [&str; 2] = ["server_id", "server_key"];

/// Sorts stored types as HAProxy prints them, `server_key` last.
pub(crate) fn sort(store: &mut [StoreType]) {
    store.sort_by_key(|stored| {
        let place = TYPES.iter().position(|(name, _)| *name == stored.name);
        (stored.name == "server_key", place)
    });
}

fn table(args: &mut Args<'_>, settings: &mut Settings) -> Result<(), Fault> {
    if settings.stick_table.is_some() {
        let text = "stick-table name conflicts with the table of the same section: there is one table in a section.";
        return Err(Fault::new("second-table", text));
    }
    let (mut key, mut size) = (None, None);
    let mut table = StickTable {
        key: KeyType::Ipv4,
        size: 0,
        expire: None,
        nopurge: false,
        srvkey_addr: false,
        store: Vec::new(),
    };
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "type" => key = Some(key_type(args)?),
            "size" => size = Some(args.size()?),
            "expire" => table.expire = args.timeout()?,
            "nopurge" => table.nopurge = true,
            "srvkey" => table.srvkey_addr = args.choice(&[("name", false), ("addr", true)])?,
            "store" => store(args, &mut table.store)?,
            "peers" | "write-to" | "recv-only" | "brates-factor" => {
                let text = format!(
                    "'stick-table ... {}' is not supported by Posthouse yet.",
                    word.text
                );
                return Err(Fault::new("not-yet", text).on(&word.span));
            }
            other => {
                let known = ["type", "size", "expire", "nopurge", "srvkey", "store"];
                let hint = super::suggest::hint(other, known.into_iter());
                let text = format!("'stick-table': unknown argument '{other}'{hint}");
                return Err(Fault::new("unknown-option", text).on(&word.span));
            }
        }
    }
    table.key =
        key.ok_or_else(|| Fault::new("missing-argument", "'stick-table': missing 'type'."))?;
    table.size = size
        .filter(|size| *size > 0)
        .ok_or_else(|| Fault::new("missing-argument", "'stick-table': missing 'size'."))?;
    sort(&mut table.store);
    settings.stick_table = Some(At {
        value: table,
        spot: args.spot(),
    });
    Ok(())
}

fn key_type(args: &mut Args<'_>) -> Result<KeyType, Fault> {
    let kinds = [
        ("ip", KeyType::Ipv4),
        ("ipv4", KeyType::Ipv4),
        ("ipv6", KeyType::Ipv6),
        ("integer", KeyType::Integer),
        ("string", KeyType::String(32)),
        ("binary", KeyType::Binary(32)),
    ];
    let kind = args.choice(&kinds)?;
    let has_length = matches!(kind, KeyType::String(_) | KeyType::Binary(_));
    if has_length && (args.take("len") || args.take("length")) {
        let length = args.number(1..=65_535)?;
        return Ok(match kind {
            KeyType::Binary(_) => KeyType::Binary(length),
            _ => KeyType::String(length),
        });
    }
    Ok(kind)
}

/// `a,b(10s),c`
fn store(args: &mut Args<'_>, to: &mut Vec<StoreType>) -> Result<(), Fault> {
    let word = args.word()?;
    for item in word.text.split(',') {
        let (name, period) = match item.split_once('(') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
            None => (item, None),
        };
        let fault = |text: String| Fault::new("bad-store", text).on(&word.span);
        let known = TYPES.iter().find(|(known, _)| *known == name);
        let Some((name, is_rate)) = known else {
            let later = ["gpt", "gpc", "gpc_rate", "glitch_cnt", "glitch_rate"];
            let text = if later.contains(&name) {
                format!("'stick-table store {name}' is not supported by Posthouse yet.")
            } else {
                let hint = super::suggest::hint(name, TYPES.iter().map(|(name, _)| *name));
                format!("'stick-table': unknown store option '{name}'{hint}")
            };
            return Err(fault(text));
        };
        let period = match (is_rate, period) {
            (true, Some(text)) => {
                let time =
                    crate::units::time(text, crate::units::Unit::Milliseconds).map_err(|_| {
                        fault(format!(
                            "'stick-table': '{text}' is no time in 'store {name}'."
                        ))
                    })?;
                Some(time.value)
            }
            (true, None) => {
                return Err(fault(format!(
                    "'stick-table': missing period in 'store {name}(<time>)'."
                )));
            }
            (false, Some(_)) => {
                return Err(fault(format!("'stick-table': '{name}' has no period.")));
            }
            (false, None) => None,
        };
        if to.iter().all(|stored| stored.name != *name) {
            to.push(StoreType { name, period });
        }
    }
    Ok(())
}

fn stick(
    args: &mut Args<'_>,
    settings: &mut Settings,
    match_: bool,
    store: bool,
) -> Result<(), Fault> {
    let expression = expression(args)?;
    let mut table = None;
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "table" => {
                let name = args.word()?;
                table = Some(args.placed(name.text.clone(), name));
            }
            "if" | "unless" => {
                let text = format!(
                    "conditions are not supported by Posthouse yet: '{}'.",
                    word.text
                );
                return Err(Fault::new("not-yet", text).on(&word.span));
            }
            other => {
                let text = format!("'{}': unknown argument '{other}'.", args.keyword);
                return Err(Fault::new("unknown-option", text).on(&word.span));
            }
        }
    }
    settings.stick.push(StickDraft {
        match_,
        store,
        expression,
        table,
        spot: args.spot(),
    });
    Ok(())
}

/// `fetch[(args)][,converter[(args)]]...`
fn expression(args: &mut Args<'_>) -> Result<Expression, Fault> {
    let word = args.word()?;
    let fault = |text: String| {
        Fault::new("bad-sample", text)
            .on(&word.span)
            .help("samples: src, src_port, dst, dst_port, fe_id, fe_name, int(n), str(s); converters: ipmask(bits), lower, upper")
    };
    let mut parts = split(&word.text).into_iter();
    let (name, inner) = parts.next().unwrap_or_default();
    let fetch = match (name, inner) {
        ("src", None) => Fetch::Src,
        ("src_port", None) => Fetch::SrcPort,
        ("dst", None) => Fetch::Dst,
        ("dst_port", None) => Fetch::DstPort,
        ("fe_id", None) => Fetch::FeId,
        ("fe_name", None) => Fetch::FeName,
        ("int", Some(text)) => Fetch::Int(
            text.trim()
                .parse()
                .map_err(|_| fault(format!("'{text}' is no number.")))?,
        ),
        ("str", Some(text)) => Fetch::Str(text.to_owned()),
        _ => {
            return Err(fault(format!(
                "sample fetch '{name}' is unknown, or not supported by Posthouse yet."
            )));
        }
    };
    let converters = parts
        .map(|(name, inner)| match (name, inner) {
            ("ipmask", Some(text)) => {
                mask(text).ok_or_else(|| fault(format!("'{text}' is no mask.")))
            }
            ("lower", None) => Ok(Converter::Lower),
            ("upper", None) => Ok(Converter::Upper),
            _ => Err(fault(format!(
                "converter '{name}' is unknown, or not supported by Posthouse yet."
            ))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression { fetch, converters })
}

/// Names with what is in their parentheses, split at the commas outside.
fn split(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut depth = 0_usize;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(|part| match part.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
        None => (part, None),
    })
    .collect()
}

/// `24`, `255.255.255.0`, each with an optional IPv6 length behind a comma.
fn mask(text: &str) -> Option<Converter> {
    let (v4, v6) = text.split_once(',').unwrap_or((text, "128"));
    let v4 = match v4.trim().parse::<std::net::Ipv4Addr>() {
        Ok(mask) => {
            let bits = mask.to_bits();
            (bits.leading_ones() == bits.count_ones()).then(|| bits.leading_ones() as u8)?
        }
        Err(_) => v4.trim().parse().ok().filter(|bits| *bits <= 32)?,
    };
    let v6 = v6.trim().parse().ok().filter(|bits| *bits <= 128)?;
    Some(Converter::IpMask(v4, v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        assert_eq!(mask("24"), Some(Converter::IpMask(24, 128)));
        assert_eq!(mask("255.255.0.0,48"), Some(Converter::IpMask(16, 48)));
        assert_eq!(mask("255.0.255.0"), None);
        assert_eq!(mask("33"), None);
    }

    #[test]
    fn commas_in_parentheses_do_not_split() {
        assert_eq!(
            split("src,ipmask(24,64),lower"),
            [("src", None), ("ipmask", Some("24,64")), ("lower", None)]
        );
    }
}
