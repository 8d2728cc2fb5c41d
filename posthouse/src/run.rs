//! The running process: the data plane, the stats socket and the orders that come as signals.
//!
//! Owned by `main`, which binds ([`bind`]), gives up what only the start needed, and then stays in
//! [`run`] until a signal ends it. Everything here is the control thread.

mod servers;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use config::model::Model;
use control::{Outlets, Program, Sockets};
use engine::tls::Tls;
use engine::{BindError, Bound, Level, Options, Plane};
use tokio::runtime::{LocalOptions, LocalRuntime};

use crate::signals::{self, Order, Orders};
use crate::version;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After a soft stop, with nothing left to do.
    Finished,
    /// By SIGTERM or SIGINT.
    Signalled(i32),
}

impl End {
    /// The exit code, unless the process dies of its signal here. A master ends well on SIGTERM.
    pub(crate) fn exit_code(self, as_master: bool) -> ExitCode {
        match self {
            Self::Finished => ExitCode::SUCCESS,
            Self::Signalled(signal) if as_master && signals::is_term(signal) => ExitCode::SUCCESS,
            Self::Signalled(signal) => signals::die_of(signal),
        }
    }
}

/// All that listens: frontends and stats sockets.
#[derive(Debug)]
pub(crate) struct Listening {
    plane: Bound,
    control: Sockets,
}

/// Makes the listening sockets.
pub(crate) fn bind(model: &Arc<Model>, tls: &Arc<Tls>) -> Result<Listening, BindError> {
    let global = &model.global;
    let options = Options {
        // Decided by `limits` at the latest.
        maxconn: global.maxconn.unwrap_or(100),
        quiet: global.quiet,
    };
    Ok(Listening {
        plane: Bound::bind(Arc::clone(model), Arc::clone(tls), options)?,
        // Last: a stats socket that is there answers for the process that has the rest.
        control: Sockets::bind(model)?,
    })
}

/// Whether another process has the address, and asking it to let go is worth the while.
pub(crate) fn is_busy(error: &BindError) -> bool {
    error.in_use
}

/// The control thread, ready to hear signals.
pub(crate) struct Control {
    runtime: LocalRuntime,
    orders: Orders,
}

impl Control {
    /// Must come before anything can be seen of the process from outside: from then on somebody may send
    /// a signal, and by default most of them end or stop a process.
    pub(crate) fn prepare() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .context("the control thread's runtime")?;
        let orders = runtime
            .block_on(async { Orders::listen() })
            .context("signals")?;
        Ok(Self { runtime, orders })
    }

    /// Starts everything, calls `ready`, and serves until the end.
    pub(crate) fn run(
        mut self,
        listening: Listening,
        outlets: Outlets,
        startup_logs: String,
        ready: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<End> {
        self.runtime.block_on(async {
            let plane = listening.plane.start().context("threads")?;
            let outlets = outlets.start(&plane).context("threads")?;
            let program = Program {
                version: version::FULL,
                release_date: version::DATE,
                startup_logs,
            };
            listening
                .control
                .serve(&plane, &outlets, program)
                .context("stats socket")?;
            ready()?;
            let end = serve(&plane, &mut self.orders).await;
            plane.tell_end();
            outlets.finish(&plane).await;
            plane.quit();
            Ok(end)
        })
    }
}

/// Follows orders until one of them ends the process.
async fn serve(plane: &Rc<Plane>, orders: &mut Orders) -> End {
    loop {
        match orders.next().await {
            Order::Stop(signal) => return End::Signalled(signal),
            Order::SoftStop => return finish(plane, orders).await,
            order => follow(plane, order),
        }
    }
}

/// A soft stop: `grace` first, then sessions are waited for, at most `hard-stop-after`.
async fn finish(plane: &Plane, orders: &mut Orders) -> End {
    let global = &plane.topology().model.global;
    let finished = async {
        if let Some(grace) = global.grace {
            tokio::time::sleep(grace).await;
        }
        plane.stop_listening();
        match global.hard_stop_after {
            None => plane.drained().await,
            Some(most) => {
                if tokio::time::timeout(most, plane.drained()).await.is_err() {
                    let text = "soft-stop running for too long, performing a hard-stop.";
                    plane.console(Level::Warning, text.to_owned());
                }
            }
        }
    };
    tokio::pin!(finished);
    loop {
        tokio::select! {
            () = &mut finished => return End::Finished,
            order = orders.next() => match order {
                Order::Stop(signal) => return End::Signalled(signal),
                // Under way already; and what is stopping is not paused.
                Order::SoftStop | Order::Pause | Order::Resume => {}
                order => follow(plane, order),
            },
        }
    }
}

/// Orders the process survives.
fn follow(plane: &Plane, order: Order) {
    let tell = |text: String| plane.console(Level::Warning, text);
    match order {
        Order::Pause => plane.pause(true),
        Order::Resume => plane.pause(false),
        Order::ShowServers => servers::lines(plane).into_iter().for_each(tell),
        Order::ShowPools => tell("SIGQUIT: there are no memory pools to show.".into()),
        Order::Reload => tell("SIGUSR2: a reload needs a new process; start it with -sf.".into()),
        Order::Stop(_) | Order::SoftStop => {}
    }
}
