//! Posthouse's protocols as pure state machines: bytes and time in, bytes and actions out.
//!
//! Nothing here knows a socket or a clock. What arrives from a network is handed in as a slice,
//! what shall be sent comes back as bytes, and the caller (the `engine` crate) does the waiting.

pub mod agent;
pub mod check;
pub mod hello;
pub mod proxy;
pub mod smtp;
pub mod syslog;
pub mod visit;
pub mod x509;
