//! Posthouse's configuration: the text of haproxy.cfg to a validated, immutable [`model::Model`].

pub mod model;
