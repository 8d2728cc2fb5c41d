//! Certificates that change without a restart: `show`, `set`, `commit`, `abort ssl cert` (MGT 9.3).

use std::path::Path;
use std::sync::Arc;

use engine::tls::{Bundle, Entry, days_left};
use jiff::Timestamp;

use super::{Answer, Call};

fn entry<'c>(call: &'c Call<'_>, path: &str) -> Option<&'c Arc<Entry>> {
    call.desk.plane.topology().tls.store.get(Path::new(path))
}

/// `show ssl cert [[*]<file>]`: all files, or what one has; `*` before it is what waits to be committed.
pub(super) fn show(call: &mut Call<'_>) -> Answer {
    let Some(word) = call.arg(0) else {
        return Ok(list(call));
    };
    let (mark, path) = match word.strip_prefix('*') {
        Some(path) => ("*", path),
        None => ("", word),
    };
    let found = entry(call, path).and_then(|entry| match mark {
        "*" => entry.pending(),
        _ => Some(entry.current()),
    });
    match found {
        Some(bundle) => Ok(details(word, mark.is_empty(), &bundle)),
        None => {
            Err("Can't display the certificate: Not found or the certificate is a bundle!".into())
        }
    }
}

fn list(call: &Call<'_>) -> String {
    let store = &call.desk.plane.topology().tls.store;
    let mut out = String::new();
    for (place, entry) in store.iter().filter(|e| e.pending().is_some()).enumerate() {
        if place == 0 {
            out.push_str("# transaction\n");
        }
        out.push_str(&format!("*{}\n", entry.path.display()));
    }
    out.push_str("# filename\n");
    for entry in store.iter() {
        out.push_str(&format!("{}\n", entry.path.display()));
    }
    out
}

fn details(name: &str, used: bool, bundle: &Bundle) -> String {
    let leaf = &bundle.leaf;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    let names: Vec<_> = leaf
        .names
        .iter()
        .map(|name| format!("DNS:{name}"))
        .collect();
    let mut out = format!(
        "Filename: {name}\nStatus: {}\nSerial: {}\nnotBefore: {}\nnotAfter: {}\n\
         Subject Alternative Name: {}\nAlgorithm: {}\nSHA1 FingerPrint: {}\nSubject: {}\nIssuer: {}\n",
        if used { "Used" } else { "Unused" },
        hex(&leaf.serial),
        date(leaf.not_before),
        date(leaf.not_after),
        names.join(", "),
        leaf.algorithm,
        hex(&bundle.fingerprint),
        leaf.subject,
        leaf.issuer,
    );
    for link in &bundle.chain {
        out.push_str(&format!(
            "Chain Subject: {}\nChain Issuer: {}\n",
            link.subject, link.issuer
        ));
    }
    out.push_str(&format!("Days Left: {}\n", days_left(leaf.not_after)));
    out
}

/// `Jan  1 00:00:00 2026 GMT`.
fn date(seconds: i64) -> String {
    let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    stamp.strftime("%b %e %H:%M:%S %Y GMT").to_string()
}

/// `set ssl cert <file> <payload>`: certificate, chain and key, used when they are committed.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let payload = call.caller.payload.take();
    let (Some(path), Some(payload)) = (call.arg(0), payload) else {
        return Err("'set ssl cert' expects a filename and a certificate as a payload".into());
    };
    let Some(entry) = entry(call, path) else {
        return Err(format!(
            "Can't replace a certificate which is not referenced by the configuration!\nCan't update {path}!"
        ));
    };
    let word = if entry.pending().is_some() {
        "updated"
    } else {
        "created"
    };
    match entry.propose(payload.as_bytes()) {
        Ok(()) => Ok(format!("Transaction {word} for certificate {path}!\n")),
        Err(why) => Err(format!(
            "Can't load the payload: {why}\nCan't update {path}!"
        )),
    }
}

/// `commit ssl cert <file>`: handshakes that begin now get it.
pub(super) fn commit(call: &mut Call<'_>) -> Answer {
    let path = call.arg(0).ok_or("'commit ssl cert' expects a filename")?;
    if !entry(call, path).is_some_and(|entry| entry.commit()) {
        return Err(format!("No ongoing transaction! !\nCan't commit {path}!"));
    }
    call.desk.plane.topology().tls.refresh();
    Ok(format!("Committing {path}.\nSuccess!\n"))
}

/// `abort ssl cert <file>`: what was set is forgotten.
pub(super) fn abort(call: &mut Call<'_>) -> Answer {
    let path = call.arg(0).ok_or("'abort ssl cert' expects a filename")?;
    if !entry(call, path).is_some_and(|entry| entry.forget()) {
        return Err("No ongoing transaction!".into());
    }
    Ok(format!("Transaction aborted for certificate '{path}'!\n"))
}
