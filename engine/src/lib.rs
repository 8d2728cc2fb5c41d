//! Posthouse's data plane: listeners, workers, sessions, backends, servers, checks, stick tables, logs.
//!
//! Start with [`Plane`], which owns it all, or with `session.rs`, which shows a connection's life. The
//! pure cores (`balance`, `health`, `slots`, `stick`, `rate`) know no sockets and no clock.

mod assign;
pub mod backend;
pub mod balance;
pub mod call;
mod check;
pub mod clock;
mod connect;
pub mod controller;
pub mod counters;
mod end;
pub mod event;
pub mod frontend;
pub mod health;
pub mod histogram;
pub mod hold;
mod host;
mod inspect;
mod leg;
mod listener;
pub mod log;
mod order;
mod page;
mod plane;
mod poller;
mod prelude;
pub mod probe;
pub mod process;
pub mod queue;
pub mod rate;
mod relay;
pub mod roster;
mod route;
mod sample;
mod schedule;
mod secure;
pub mod server;
mod session;
pub mod slots;
pub mod smtp;
mod sock;
mod socket;
pub mod stick;
mod timer;
pub mod tls;
pub mod topology;
mod turns;
mod visit;
mod wait;
mod worker;

pub use call::Call;
pub use controller::Controller;
pub use host::name as host_name;
pub use listener::open::{
    BindError, group_id, pages as listen_pages, stats as listen_stats, user_id,
};
pub use log::Level;
pub use order::{Killer, SessionId, SessionLeg, SessionReport, Which};
pub use page::PageSession;
pub use plane::{Bound, Options, Plane};
pub use topology::{Proxy, Topology};
