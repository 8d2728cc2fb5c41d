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
    bind: usize,
    process: Arc<Process>,
}

impl PageSession {
    pub(crate) fn begin(proxy: &Arc<Proxy>, bind: usize, process: &Arc<Process>) -> Self {
        let now = Clock::get().now();
        process.sessions.enter();
        process.connections.fetch_add(1, Ordering::Relaxed);
        process.connection_rate.count(now);
        process.session_rate.count(now);
        if let Some(front) = &proxy.front {
            front.enter(0, bind, now);
            front.count(0, bind, |totals| &totals.sessions, 1);
            front.session_rate.count(now);
        }
        Self {
            proxy: Arc::clone(proxy),
            bind,
            process: Arc::clone(process),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&self, bytes: u64) {
        if let Some(front) = &self.proxy.front {
            front.count(0, self.bind, |totals| &totals.bytes_out, bytes);
        }
        self.process.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for PageSession {
    fn drop(&mut self) {
        if let Some(front) = &self.proxy.front {
            front.leave(self.bind);
        }
        self.process.leave();
    }
}
