//! The `global` section (CFG 3).

use std::path::PathBuf;

use super::{Args, GLOBAL, Keyword, bind, log, tls};
use crate::diagnostic::Fault;
use crate::draft::{BindDraft, GlobalDraft};
use crate::env::Change;
use crate::keyword::address;
use crate::model::{Owner, StatsSocket};

type Row = Keyword<GlobalDraft>;

const NO_TUNING: &str = "Has no effect in Posthouse.";

/// Keywords of `global`.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row::new("stats socket", GLOBAL, "<address> [mode|user|group|uid|gid|level|expose-fd ...]", (1, super::ANY), stats_socket, "Where operators and tools talk to the process."),
    Row::new("stats timeout", GLOBAL, "<time>", (1, 1), |a, g| set(&mut g.model.stats_timeout, a.timeout()), "How long an idle connection to the stats socket is kept; default 10s."),
    Row::new("stats maxconn", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.stats_maxconn, a.count().map(Some)), "Connections to the stats socket at once; default 10."),
    Row::new("maxconn", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.maxconn, a.count().map(Some)), "Client connections of the whole process at once."),
    Row::new("nbthread", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.nbthread, a.number(1..=256).map(Some)), "Worker threads; default one per core."),
    Row::new("user", GLOBAL, "<name>", (1, 1), |a, g| set(&mut g.model.user, a.text().map(|t| Some(Owner::Name(t)))), "User the process becomes after it has bound its ports."),
    Row::new("group", GLOBAL, "<name>", (1, 1), |a, g| set(&mut g.model.group, a.text().map(|t| Some(Owner::Name(t)))), "Group the process becomes after it has bound its ports."),
    Row::new("uid", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.user, a.count().map(|n| Some(Owner::Id(n)))), "As user, by number."),
    Row::new("gid", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.group, a.count().map(|n| Some(Owner::Id(n)))), "As group, by number."),
    Row::new("chroot", GLOBAL, "<directory>", (1, 1), |a, g| set(&mut g.model.chroot, a.text().map(|t| Some(PathBuf::from(t)))), "Directory the process locks itself into."),
    Row::new("pidfile", GLOBAL, "<file>", (1, 1), |a, g| set(&mut g.model.pidfile, a.text().map(|t| Some(PathBuf::from(t)))), "File the process id is written to."),
    Row::new("daemon", GLOBAL, "", (0, 0), |_, g| set(&mut g.model.daemon, Ok(true)), "Run in the background."),
    Row::new("quiet", GLOBAL, "", (0, 0), |_, g| set(&mut g.model.quiet, Ok(true)), "No messages at the start."),
    Row::new("zero-warning", GLOBAL, "", (0, 0), |_, g| set(&mut g.model.zero_warning, Ok(true)), "Refuse to start when there are warnings."),
    Row::new("log", GLOBAL, "<target> [len <n>] [format <f>] <facility> [<max level> [<min level>]]", (2, super::ANY), |a, g| { let target = log::target(a)?; g.model.log.push(target); Ok(()) }, "Where log lines go; proxies use it with `log global`."),
    Row::new("log-tag", GLOBAL, "<text>", (1, 1), |a, g| set(&mut g.model.log_tag, a.text().map(Some)), "The program's name in log lines."),
    Row::new("log-send-hostname", GLOBAL, "[<name>]", (0, 1), log_send_hostname, "Put the host's name, or this one, into log lines."),
    Row::new("event-log", GLOBAL, "<file>", (1, 1), |a, g| set(&mut g.model.event_log, a.text().map(|t| Some(PathBuf::from(t)))), "File that gets every event as a line of JSON (Posthouse's own)."),
    Row::new("node", GLOBAL, "<name>", (1, 1), |a, g| set(&mut g.model.node, a.text().map(Some)), "Name of this node in `show info`."),
    Row::new("description", GLOBAL, "<text>", (1, super::ANY), description, "Text for `show info`."),
    Row::new("spread-checks", GLOBAL, "<0..50>", (1, 1), |a, g| set(&mut g.model.spread_checks, a.number(0..=50)), "Vary the time between checks by so many per cent."),
    Row::new("max-spread-checks", GLOBAL, "<time>", (1, 1), |a, g| set(&mut g.model.max_spread_checks, a.timeout()), "Spread the first checks over this time at most."),
    Row::new("hard-stop-after", GLOBAL, "<time>", (1, 1), |a, g| set(&mut g.model.hard_stop_after, a.timeout()), "The longest a soft stop may take."),
    Row::new("grace", GLOBAL, "<time>", (1, 1), |a, g| set(&mut g.model.grace, a.timeout()), "How long listeners stay open after a soft stop was asked for."),
    Row::new("ulimit-n", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.ulimit_n, a.count().map(Some)), "File descriptors the process asks for."),
    Row::new("maxconnrate", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.maxconnrate, a.count().map(Some)), "Connections per second of the whole process."),
    Row::new("maxsessrate", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.maxsessrate, a.count().map(Some)), "Sessions per second of the whole process."),
    Row::new("maxsslconn", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.maxsslconn, a.count().map(Some)), "TLS connections at once, with clients and with servers; one more is closed. 0, the default, is no limit."),
    Row::new("maxsslrate", GLOBAL, "<number>", (1, 1), |a, g| set(&mut g.model.maxsslrate, a.count().map(Some)), "TLS connections per second that `bind` lines with `ssl` take."),
    Row::new("unix-bind", GLOBAL, "[mode|user|group|uid|gid <value>]...", (1, super::ANY), unix_bind, "Owner and mode of `bind`'s unix sockets where the line does not say."),
    Row::new("tune.bufsize", GLOBAL, "<bytes>", (1, 1), |a, g| set(&mut g.model.bufsize, a.number(1024..=1 << 24)), "Bytes a check reads of an answer at most; default 16384."),
    Row::new("tune.smtp.journal-memory", GLOBAL, "<size>", (1, 1), |a, g| set(&mut g.model.smtp.journal_memory, a.size()), "`mode smtp`: octets of a message that a session keeps in memory until its server has answered; more goes to the spool; default 16m."),
    Row::new("tune.smtp.journal-size", GLOBAL, "<size>", (1, 1), |a, g| set(&mut g.model.smtp.journal_size, a.size()), "`mode smtp`: octets of a message that a session keeps in all; a larger message goes on unprotected; default 64m."),
    Row::new("tune.smtp.total-memory", GLOBAL, "<size>", (1, 1), |a, g| set(&mut g.model.smtp.total_memory, a.size()), "`mode smtp`: octets that all sessions keep in memory; then they use the spool; default 256m."),
    Row::new("tune.smtp.spool-size", GLOBAL, "<size>", (1, 1), |a, g| set(&mut g.model.smtp.spool_size, a.size()), "`mode smtp`: octets that all sessions keep in the spool; default 1g; 0 is no spool."),
    Row::new("tune.smtp.spool-dir", GLOBAL, "<directory>", (1, 1), |a, g| set(&mut g.model.smtp.spool_dir, a.text().map(PathBuf::from)), "`mode smtp`: where the spool's unlinked files are; default `/var/tmp`."),
    Row::new("tune.smtp.ack-wait", GLOBAL, "<time>", (1, 1), |a, g| set(&mut g.model.smtp.ack_wait, a.time().map(Some)), "`mode smtp`: how long the end of a message of more than 14 KiB waits for TCP to acknowledge what went before it (5s); 0 is not at all."),
    Row::ignored("tune.maxaccept", GLOBAL, "Connections accepted in a row."),
    Row::new("nosplice", GLOBAL, "", (0, 0), |_, g| set(&mut g.model.nosplice, Ok(true)), "Copy bytes instead of splicing them."),
    Row::new("noreuseport", GLOBAL, "", (0, 0), |_, g| set(&mut g.model.noreuseport, Ok(true)), "One listening socket for all threads."),
    Row::new("setenv", GLOBAL, "<name> <value>", (2, 2), |a, g| { let change = Change::Set(a.text()?, a.text()?); g.changes.push(change); Ok(()) }, "Set an environment variable for the lines that follow."),
    Row::new("presetenv", GLOBAL, "<name> <value>", (2, 2), |a, g| { let change = Change::SetIfUnset(a.text()?, a.text()?); g.changes.push(change); Ok(()) }, "The same where it is not set yet."),
    Row::new("unsetenv", GLOBAL, "<name>...", (1, super::ANY), |a, g| { let names = rest(a); g.changes.push(Change::Unset(names)); Ok(()) }, "Forget environment variables."),
    Row::new("resetenv", GLOBAL, "[<name>]...", (0, super::ANY), |a, g| { let names = rest(a); g.changes.push(Change::Keep(names)); Ok(()) }, "Forget all environment variables but these."),
    Row::ignored("cpu-map", GLOBAL, NO_TUNING),
    Row::ignored("cpu-policy", GLOBAL, NO_TUNING),
    Row::ignored("numa-cpu-mapping", GLOBAL, NO_TUNING),
    Row::ignored("thread-groups", GLOBAL, NO_TUNING),
    Row::ignored("thread-group", GLOBAL, NO_TUNING),
    Row::ignored("noepoll", GLOBAL, NO_TUNING),
    Row::ignored("nopoll", GLOBAL, NO_TUNING),
    Row::ignored("noevports", GLOBAL, NO_TUNING),
    Row::ignored("nokqueue", GLOBAL, NO_TUNING),
    Row::ignored("nogetaddrinfo", GLOBAL, NO_TUNING),
    Row::ignored("busy-polling", GLOBAL, NO_TUNING),
    Row::ignored("maxpipes", GLOBAL, NO_TUNING),
    Row::ignored("strict-limits", GLOBAL, NO_TUNING),
    Row::ignored("set-dumpable", GLOBAL, NO_TUNING),
    Row::ignored("fd-hard-limit", GLOBAL, NO_TUNING),
    Row::ignored("localpeer", GLOBAL, "The name of this peer; there are no peers yet."),
    Row::not_yet("default-path", GLOBAL, "Where relative paths begin."),
    Row::new("ca-base", GLOBAL, "<directory>", (1, 1), |a, g| set(&mut g.model.tls.ca_base, a.text().map(|t| Some(PathBuf::from(t)))), "Where relative names of `ca-file` and `crl-file` begin."),
    Row::new("crt-base", GLOBAL, "<directory>", (1, 1), |a, g| set(&mut g.model.tls.crt_base, a.text().map(|t| Some(PathBuf::from(t)))), "The same for `crt`."),
    Row::new("ssl-server-verify", GLOBAL, "none|required", (1, 1), |a, g| set(&mut g.model.tls.no_server_verify, tls::server_verify(a).map(|on| !on)), "Whether certificates of servers must be good where `verify` is not written; default required."),
    Row::new("ssl-default-bind-ciphers", GLOBAL, "<list>", (1, 1), |a, g| tls::ciphers(a, &mut g.model.tls.bind), "`ciphers` of `bind` lines that have none."),
    Row::new("ssl-default-bind-ciphersuites", GLOBAL, "<list>", (1, 1), |a, g| tls::ciphersuites(a, &mut g.model.tls.bind), "The same for `ciphersuites`."),
    Row::new("ssl-default-bind-curves", GLOBAL, "<list>", (1, 1), |a, g| tls::curves(a, &mut g.model.tls.bind), "The same for `curves`."),
    Row::new("ssl-default-bind-options", GLOBAL, "<option>...", (1, super::ANY), |a, g| tls::default_options(a, &mut g.model.tls.bind, &mut g.model.tls.strict_sni), "The same for versions, tickets and `strict-sni`."),
    Row::new("ssl-default-server-ciphers", GLOBAL, "<list>", (1, 1), |a, g| tls::ciphers(a, &mut g.model.tls.server), "`ciphers` of `server` lines that have none."),
    Row::new("ssl-default-server-ciphersuites", GLOBAL, "<list>", (1, 1), |a, g| tls::ciphersuites(a, &mut g.model.tls.server), "The same for `ciphersuites`."),
    Row::new("ssl-default-server-curves", GLOBAL, "<list>", (1, 1), |a, g| tls::curves(a, &mut g.model.tls.server), "The same for `curves`."),
    Row::new("ssl-default-server-options", GLOBAL, "<option>...", (1, super::ANY), |a, g| tls::default_options(a, &mut g.model.tls.server, &mut false), "The same for versions and tickets."),
    Row::ignored("ssl-load-extra-files", GLOBAL, "Keys and OCSP answers are looked for beside each certificate."),
    Row::ignored("ssl-load-extra-del-ext", GLOBAL, NO_TUNING),
    Row::ignored("insecure-fork-wanted", GLOBAL, NO_TUNING),
    Row::ignored("expose-experimental-directives", GLOBAL, NO_TUNING),
    Row::ignored("expose-deprecated-directives", GLOBAL, NO_TUNING),
    Row::ignored("master-worker", GLOBAL, "The process is its own master."),
    Row::ignored("mworker-max-reloads", GLOBAL, "The process is its own master."),
    Row::ignored("profiling.tasks", GLOBAL, NO_TUNING),
    Row::ignored("profiling.memory", GLOBAL, NO_TUNING),
    Row::ignored("setcap", GLOBAL, NO_TUNING),
    Row::ignored("close-spread-time", GLOBAL, NO_TUNING),
    Row::ignored("pp2-never-send-local", GLOBAL, NO_TUNING),
    Row::ignored("h1-case-adjust", GLOBAL, "HTTP only."),
    Row::ignored("h1-case-adjust-file", GLOBAL, "HTTP only."),
    Row::ignored("maxcomprate", GLOBAL, "HTTP only."),
    Row::ignored("maxcompcpuusage", GLOBAL, "HTTP only."),
    Row::ignored("maxzlibmem", GLOBAL, "HTTP only."),
    Row::ignored("lua-prepend-path", GLOBAL, "There is no Lua."),
    Row::refused("lua-load", GLOBAL, "Posthouse has no Lua", "remove the line"),
    Row::refused("lua-load-per-thread", GLOBAL, "Posthouse has no Lua", "remove the line"),
    Row::refused("nbproc", GLOBAL, "nbproc is not supported any more since HAProxy 2.5", "use 'nbthread'"),
    Row::refused("debug", GLOBAL, "debug is not supported any more since HAProxy 3.3", "start with '-d'"),
    Row::refused("stats bind-process", GLOBAL, "'stats bind-process' is not supported any more", "remove the line"),
    Row::not_yet("server-state-file", GLOBAL, "File that server states are read from at the start."),
    Row::not_yet("server-state-base", GLOBAL, "Directory of such files."),
    Row::not_yet("stats-file", GLOBAL, "File that counters are read from at the start."),
    Row::not_yet("external-check", GLOBAL, "Checks by a program of one's own."),
    Row::not_yet("set-var", GLOBAL, "Variables of the process."),
    Row::not_yet("set-var-fmt", GLOBAL, "Variables of the process."),
];

/// `tune.*` and `ssl-default-*` by the dozen: they tune what Posthouse does not have.
pub(crate) fn is_foreign_tuning(word: &str) -> bool {
    [
        "tune.",
        "ssl-default-",
        "ssl-dh-",
        "ssl-mode-",
        "ocsp-update.",
        "httpclient.",
        "jwt.",
        "51degrees",
        "deviceatlas",
        "wurfl",
    ]
    .iter()
    .any(|prefix| word.starts_with(prefix))
}

fn set<T>(place: &mut T, value: Result<T, Fault>) -> Result<(), Fault> {
    *place = value?;
    Ok(())
}

fn rest(args: &mut Args<'_>) -> Vec<String> {
    std::iter::from_fn(|| args.next())
        .map(|word| word.text.clone())
        .collect()
}

fn description(args: &mut Args<'_>, global: &mut GlobalDraft) -> Result<(), Fault> {
    global.model.description = Some(rest(args).join(" "));
    Ok(())
}

fn log_send_hostname(args: &mut Args<'_>, global: &mut GlobalDraft) -> Result<(), Fault> {
    let own = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = args.next().map(|word| word.text.clone()).or_else(own);
    global.model.log_send_hostname = name.map(|name| name.trim().to_owned());
    Ok(())
}

fn stats_socket(args: &mut Args<'_>, global: &mut GlobalDraft) -> Result<(), Fault> {
    let word = args.word()?;
    let at = args.spot().at();
    let path = |text: &str| text.contains(['/', '@', ':']).then_some(());
    let addresses = match path(&word.text) {
        Some(()) => address::bind(&word.text, args.resolver),
        // A bare name is a path here, unlike in `bind`.
        None => address::bind(&format!("unix@{}", word.text), args.resolver),
    };
    let addresses = addresses.map_err(|text| {
        Fault::new("bad-address", format!("'stats socket' : {text}")).on(&word.span)
    })?;
    let mut draft = BindDraft::new(at.clone(), addresses);
    bind::options(args, &mut draft)?;
    for address in draft.addresses {
        global.model.stats_sockets.push(StatsSocket {
            at: at.clone(),
            address,
            permissions: draft.bind.permissions.clone(),
            level: draft.level.unwrap_or_default(),
            expose_fd: draft.expose_fd,
        });
    }
    Ok(())
}

fn unix_bind(args: &mut Args<'_>, global: &mut GlobalDraft) -> Result<(), Fault> {
    let permissions = &mut global.model.unix_bind;
    while args.peek().is_some() {
        let kind = args.choice(&[
            ("mode", 0),
            ("user", 1),
            ("group", 2),
            ("uid", 3),
            ("gid", 4),
        ])?;
        match kind {
            0 => permissions.mode = Some(bind::mode(args)?),
            1 => permissions.user = Some(Owner::Name(args.text()?)),
            2 => permissions.group = Some(Owner::Name(args.text()?)),
            3 => permissions.user = Some(Owner::Id(args.count()?)),
            _ => permissions.group = Some(Owner::Id(args.count()?)),
        }
    }
    Ok(())
}
