//! What the process is made of: `show activity|fd|pools|tasks|threads` (MGT 9.3). In HAProxy these are for its
//! developers and have no fixed form; here they tell what is true of Posthouse, and as little as that.

use std::fmt::Write as _;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::backend::Backend;
use engine::clock::Clock;
use engine::health::Health;
use engine::server::Server;

use super::{Answer, Call, Later};
use crate::Desk;

/// `show activity`: what is counted of it.
pub(super) fn activity(call: &mut Call<'_>) -> Answer {
    let plane = &call.desk.plane;
    let clock = Clock::get();
    let now = clock.wall_ms(clock.now());
    let accepted = plane.process().connections.load(Relaxed);
    Ok(format!(
        "thread_id: 1 (1..{})\ndate_now: {}.{:06}\naccepted: {accepted}\n",
        plane.workers(),
        now / 1000,
        now % 1000 * 1000,
    ))
}

/// `show fd [<number>]`: the descriptors the process has, and what each is.
pub(super) fn fd(call: &mut Call<'_>) -> Answer {
    let only: Option<u32> = call.arg(0).and_then(|word| word.parse().ok());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").map_err(hidden)?.flatten() {
        let number = entry.file_name().to_string_lossy().parse::<u32>();
        // One may be closed meanwhile: that of the directory is.
        if let (Ok(number), Ok(what)) = (number, fs::read_link(entry.path())) {
            found.push((number, what));
        }
    }
    found.sort_unstable();
    let mut out = String::new();
    let meant = |number: u32| only.is_none_or(|only| only == number);
    for (number, what) in found.iter().filter(|(number, _)| meant(*number)) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{number:>7} : {}", what.display());
    }
    Ok(out)
}

/// `show pools`: memory is the allocator's, there are none.
pub(super) fn pools(_: &mut Call<'_>) -> Answer {
    Ok(
        "Dumping pools usage. Posthouse has none: memory comes from the allocator.\n\
        Total: 0 pools, 0 bytes allocated, 0 used (~0 by thread caches).\n"
            .into(),
    )
}

/// `show threads`: each, with the time it has run.
pub(super) fn threads(_: &mut Call<'_>) -> Answer {
    let mut tasks: Vec<_> = fs::read_dir("/proc/self/task")
        .map_err(hidden)?
        .flatten()
        .collect();
    tasks.sort_by_key(|task| task.file_name().to_string_lossy().parse::<u32>().ok());
    let mut out = String::new();
    for (number, task) in tasks.iter().enumerate() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let ran = read("schedstat");
        let _ = writeln!(
            out,
            "  Thread {} : id={} name={} cpu_ns={}",
            number + 1,
            task.file_name().display(),
            read("comm").trim_end(),
            ran.split(' ').next().unwrap_or_default(),
        );
    }
    Ok(out)
}

/// `show tasks`: sessions that something is decided about, and checks under way. A relayed session is no task.
pub(super) fn tasks(desk: Rc<Desk>, _: Vec<String>) -> Later {
    Box::pin(async move {
        let sessions = desk.plane.sessions().await;
        let deciding = sessions
            .iter()
            .filter(|session| session.legs.is_none())
            .count();
        let checking = {
            let controller = desk.plane.controller().borrow();
            let checking = |(proxy, server): (usize, &Arc<Server>)| {
                let health = controller.health((proxy, server.index));
                health.is_some_and(Health::is_checking)
            };
            let mut count = 0;
            for proxy in &desk.plane.topology().proxies {
                let servers = proxy
                    .back
                    .as_ref()
                    .map(Backend::servers)
                    .unwrap_or_default();
                count += servers
                    .iter()
                    .filter(|server| checking((proxy.index, server)))
                    .count();
            }
            count
        };
        let mut out = format!(
            "Running tasks: {} ({} threads)\n  function                     places\n",
            deciding + checking,
            desk.plane.workers()
        );
        for (name, count) in [("session", deciding), ("check", checking)] {
            if count > 0 {
                let _ = writeln!(out, "  {name:<28} {count:>6}");
            }
        }
        Ok(out)
    })
}

/// `/proc` is not there in a chroot.
fn hidden(error: std::io::Error) -> String {
    format!("/proc/self cannot be read ({error}); in a chroot it is not there.")
}
