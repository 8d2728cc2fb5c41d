//! Syslog framing.
