//! `-sf`, `-st`: taking over from older processes (MGT 4).
//!
//! Listeners are bound beside theirs (SO_REUSEPORT), or, where that is refused, after they were asked
//! to pause; once ours are bound they are told to finish or to stop. Called by `main`.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::flags::{Farewell, Flags};

/// How often a busy address is tried again, and how long apart.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Sends a signal to each old process. One that is gone already has nothing to be told.
fn signal(flags: &Flags, signal: Signal) {
    for pid in flags.old_pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, signal);
    }
}

/// Our listeners are bound: the old processes may go.
pub(crate) fn release(flags: &Flags) {
    match flags.farewell {
        Some(Farewell::Finish) => signal(flags, Signal::USR1),
        Some(Farewell::Terminate) => signal(flags, Signal::TERM),
        None => {}
    }
}

/// Binds; when the address is taken and there are old processes, they are asked to let go of it
/// (SIGTTOU) and binding is tried for a second; in vain, they are asked to resume (SIGTTIN).
pub(crate) fn bind<T, E>(
    flags: &Flags,
    is_busy: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut result = attempt();
    if flags.old_pids.is_empty() || !result.as_ref().is_err_and(&is_busy) {
        return result;
    }
    signal(flags, Signal::TTOU);
    for _ in 0..TRIES {
        #[allow(clippy::disallowed_methods, reason = "no worker runs yet")]
        std::thread::sleep(PAUSE);
        result = attempt();
        if !result.as_ref().is_err_and(&is_busy) {
            break;
        }
    }
    if result.is_err() {
        signal(flags, Signal::TTIN);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    fn flags(farewell: Farewell, pid: u32) -> Flags {
        Flags {
            farewell: Some(farewell),
            old_pids: vec![pid.cast_signed()],
            ..Default::default()
        }
    }

    #[test]
    fn old_processes_are_told_what_was_asked() {
        for (farewell, signal) in [(Farewell::Finish, 10), (Farewell::Terminate, 15)] {
            let mut old = Command::new("sleep").arg("30").spawn().unwrap();
            release(&flags(farewell, old.id()));
            assert_eq!(old.wait().unwrap().signal(), Some(signal));
        }
    }

    #[test]
    fn a_busy_address_is_tried_again_only_with_somebody_to_ask() {
        let mut old = Command::new("sleep").arg("30").spawn().unwrap();
        let with = flags(Farewell::Finish, old.id());
        let mut left = 3;
        let bound = bind(
            &with,
            |_: &&str| true,
            || {
                left -= 1;
                if left == 0 { Ok(()) } else { Err("busy") }
            },
        );
        assert_eq!(bound, Ok(()));
        let mut tries = 0;
        let refused: Result<(), _> = bind(
            &Flags::default(),
            |_| true,
            || {
                tries += 1;
                Err("busy")
            },
        );
        assert_eq!((refused, tries), (Err("busy"), 1));
        old.kill().unwrap();
        old.wait().unwrap();
    }
}
