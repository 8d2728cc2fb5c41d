//! Alerts: incidents, told to people and to their pagers by webhook and mail.
//!
//! The way of an alert: the bus of events -> [`incident`] (pure: is it one, is it news, is it over?) -> [`message`] (the
//! words) -> an [`outlet`] (a bounded queue and its retries) -> [`webhook`] or [`mail`], each on a connection from
//! [`dial`]. Each outlet is a task of its own, so one that is slow or dead delays nobody else; nothing here is waited
//! for by the controller, a check or a session.

mod certificate;
mod dial;
mod incident;
mod letter;
mod mail;
mod message;
mod outlet;
mod queue;
mod watch;
mod webhook;

use std::rc::Rc;
use std::time::Duration;

use engine::Plane;

pub(crate) use self::outlet::Outlet;
pub(crate) use self::watch::Watcher;

/// How long the end of the process waits for what is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everybody who is told.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    pub(crate) outlets: Vec<Rc<Outlet>>,
    pub(crate) watchers: Vec<Rc<Watcher>>,
}

impl Alerts {
    /// Begins to watch, and to send. Must be called inside the control thread's `LocalRuntime`.
    pub(crate) fn start(plane: &Rc<Plane>) -> Self {
        let model = &plane.topology().model;
        let mut alerts = Self::default();
        for section in &model.alerts {
            let outlets = section.webhooks.iter().zip(1..);
            let outlets = outlets.map(|(webhook, number)| {
                webhook::outlet(plane, &format!("{}/{number}", section.name), webhook)
            });
            let outlets: Vec<_> = outlets.collect();
            let own = outlets.iter().map(|sender| Rc::clone(&sender.outlet));
            alerts.outlets.extend(own);
            if !outlets.is_empty() {
                let watcher = watch::posts(section.settle, outlets);
                alerts.watchers.push(watcher);
            }
        }
        let letters = mail::outlets(plane);
        if !letters.is_empty() {
            let own = letters.values().map(|sender| Rc::clone(&sender.outlet));
            alerts.outlets.extend(own);
            alerts.watchers.push(watch::letters(letters));
        }
        for watcher in &alerts.watchers {
            tokio::task::spawn_local(watch::run(Rc::clone(plane), Rc::clone(watcher)));
        }
        alerts
    }

    /// The process ends: what is still to be told gets a moment.
    pub(crate) async fn finish(&self, plane: &Plane) {
        // The watchers read first what was published just now.
        for watcher in &self.watchers {
            watcher.drained(plane).await;
        }
        self.outlets.iter().for_each(|outlet| outlet.hurry());
        let all = async {
            for outlet in &self.outlets {
                outlet.emptied().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }
}
