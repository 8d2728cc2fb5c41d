//! End-to-end tests: one file per behaviour, one binary so that linking happens once.

mod abuse;
mod article;
mod checks;
mod ctl;
mod demo;
mod dynamic;
mod failover;
mod greeting;
mod ipv6;
mod limits;
mod listeners;
mod logs;
mod matrix;
mod metrics;
mod oracle;
mod own_metrics;
mod proxy_protocol;
mod relay;
mod runtime;
mod scrape;
mod selection;
mod signals;
mod socket;
mod support;
mod timeouts;
mod top;
