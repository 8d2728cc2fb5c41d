//! What carries events out of the process: the event log, and alerts.
//!
//! [`Outlets::prepare`] does what needs rights and files, [`Outlets::start`] runs them on the control thread, and
//! [`Running::finish`] gives them a moment at the end.

use std::io;
use std::rc::Rc;

use config::model::Model;
use engine::Plane;

use crate::alert::Alerts;
use crate::event_log::{EventLog, Writing};

/// Ready to run.
#[derive(Debug)]
pub struct Outlets {
    event_log: Option<EventLog>,
}

impl Outlets {
    /// Must come before a chroot and before rights are dropped.
    ///
    /// # Errors
    /// A file cannot be opened; the error names it.
    pub fn prepare(model: &Model) -> io::Result<Self> {
        let global = &model.global;
        let event_log = global.event_log.as_deref();
        let event_log = event_log.map(|path| EventLog::prepare(path, global));
        Ok(Self {
            event_log: event_log.transpose()?,
        })
    }

    /// Must be called inside the control thread's `LocalRuntime`.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(self, plane: &Rc<Plane>) -> io::Result<Rc<Running>> {
        let event_log = self.event_log.map(|log| log.start(plane));
        Ok(Rc::new(Running {
            event_log: event_log.transpose()?,
            alerts: Alerts::start(plane),
        }))
    }
}

/// At work.
#[derive(Debug)]
pub struct Running {
    event_log: Option<Writing>,
    pub(crate) alerts: Alerts,
}

impl Running {
    /// Events that the event log lacks.
    pub(crate) fn event_log_lost(&self) -> u64 {
        self.event_log.as_ref().map_or(0, Writing::lost)
    }

    /// The process ends: what has happened gets a moment to leave.
    pub async fn finish(&self, plane: &Plane) {
        // What was published just now is still to be read.
        tokio::task::yield_now().await;
        self.alerts.finish(plane).await;
        if let Some(log) = &self.event_log {
            log.flush();
        }
    }
}
