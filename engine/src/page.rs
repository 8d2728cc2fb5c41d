//! A connection to a page of our own, counted as HAProxy counts sessions of a `mode http` frontend.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Clock;
use crate::process::Process;
use crate::topology::Proxy;

/// One connection; it is left when dropped. Pages belong to the control thread, which alone adds to their totals.
#[derive(Debug)]
pub struct PageSession {
    proxy: Arc<Proxy>,
    process: Arc<Process>,
}

impl PageSession {
    pub(crate) fn begin(proxy: &Arc<Proxy>, process: &Arc<Process>) -> Self {
        let now = Clock::get().now();
        process.sessions.enter();
        process.connections.fetch_add(1, Ordering::Relaxed);
        process.connection_rate.count(now);
        process.session_rate.count(now);
        if let Some(front) = &proxy.front {
            front.sessions.enter();
            front.totals.at(0).connections.add(1);
            front.totals.at(0).sessions.add(1);
            front.connection_rate.count(now);
            front.session_rate.count(now);
        }
        Self {
            proxy: Arc::clone(proxy),
            process: Arc::clone(process),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&self, bytes: u64) {
        if let Some(front) = &self.proxy.front {
            front.totals.at(0).bytes_out.add(bytes);
        }
        self.process.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for PageSession {
    fn drop(&mut self) {
        if let Some(front) = &self.proxy.front {
            front.leave();
        }
        self.process.leave();
    }
}
