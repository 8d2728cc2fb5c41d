//! What an operator talks to: the stats socket (MGT 9).
//!
//! A request's way: [`socket`] accepts and reads, [`line`] cuts it into commands and words, [`command`]
//! finds the row of its table that is meant and asks its function. The functions stand beside the table,
//! by subject; what they print is HAProxy's, to the byte where tools read it.
//!
//! Everything runs on the control thread, so it answers while the workers are busy, and never waits
//! for a client: a slow one has only its own task.

mod alert;
pub mod answer;
mod command;
mod describe;
pub mod event;
mod event_log;
mod http;
pub mod human;
mod idle;
mod info;
pub mod line;
mod outlets;
mod prometheus;
mod socket;
mod stat;
mod state;
mod typed;

use std::rc::Rc;

use engine::Plane;

pub use http::form;
pub use outlets::{Outlets, Running};
pub use prometheus::Query as MetricsQuery;
pub use socket::Sockets;

/// What the socket tells of the program and cannot know itself.
#[derive(Debug, Clone)]
pub struct Program {
    /// `show version`: the version of HAProxy whose behaviour this is, and our own.
    pub version: &'static str,
    /// `show info`, `Release_date`.
    pub release_date: &'static str,
    /// `show startup-logs`: what was said before the process served.
    pub startup_logs: String,
}

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) plane: Rc<Plane>,
    pub(crate) outlets: Rc<Running>,
    pub(crate) program: Program,
    pub(crate) sockets: Vec<socket::Described>,
    pub(crate) idle: idle::Idle,
    /// How long the metrics were lately, in bytes.
    pub(crate) scraped: std::cell::Cell<usize>,
}
