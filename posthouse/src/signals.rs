//! Signals as orders to the running process (MGT 4), and dying of one.
//!
//! [`Orders`] belongs to the control thread's runtime. Which signal means what is one table.

use std::future::poll_fn;
use std::process::ExitCode;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM, SIGINT: stop now, and die of this very signal ([`die_of`]).
    Stop(i32),
    /// SIGUSR1: close the listeners, finish the sessions, end.
    SoftStop,
    /// SIGHUP: tell the state of every server.
    ShowServers,
    /// SIGQUIT: HAProxy dumps its memory pools; there are none here.
    ShowPools,
    /// SIGTTOU: listeners let go of their addresses.
    Pause,
    /// SIGTTIN: listeners take them again.
    Resume,
    /// SIGUSR2: for a master; there is none.
    Reload,
}

fn table() -> [(SignalKind, Order); 8] {
    let kind = SignalKind::from_raw;
    let (term, int) = (SignalKind::terminate(), SignalKind::interrupt());
    [
        (term, Order::Stop(term.as_raw_value())),
        (int, Order::Stop(int.as_raw_value())),
        (SignalKind::user_defined1(), Order::SoftStop),
        (SignalKind::user_defined2(), Order::Reload),
        (SignalKind::hangup(), Order::ShowServers),
        (SignalKind::quit(), Order::ShowPools),
        (kind(rustix::process::Signal::TTOU.as_raw()), Order::Pause),
        (kind(rustix::process::Signal::TTIN.as_raw()), Order::Resume),
    ]
}

/// The stream of orders.
#[derive(Debug)]
pub(crate) struct Orders(Vec<(Signal, Order)>);

impl Orders {
    /// Catches the signals from here on. Needs a tokio runtime with I/O.
    pub(crate) fn listen() -> std::io::Result<Self> {
        table()
            .into_iter()
            .map(|(kind, order)| Ok((signal(kind)?, order)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The next order; cancel safe.
    pub(crate) async fn next(&mut self) -> Order {
        poll_fn(|context| {
            for (signal, order) in &mut self.0 {
                if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                    return Poll::Ready(*order);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether it is the signal a service manager stops with.
pub(crate) fn is_term(signal: i32) -> bool {
    signal == SignalKind::terminate().as_raw_value()
}

/// Ends the process by the signal it caught, so that whoever waits for it sees what it died of.
///
/// Returns only for process 1 of a container, which no signal ends by default: the exit code then
/// is the one a shell would show.
pub(crate) fn die_of(signal: i32) -> ExitCode {
    if std::process::id() != 1 {
        // Fails only for a signal that does not exist.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_caught_as_its_order() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut orders = Orders::listen().unwrap();
            for (kind, order) in table() {
                signal_hook::low_level::raise(kind.as_raw_value()).unwrap();
                assert_eq!(orders.next().await, order);
            }
        });
    }
}
