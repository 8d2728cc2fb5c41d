//! What follows a failed attempt.
//!
//! Posthouse's own way, where neither `retries` nor `option redispatch` is written: every server once, at
//! once. HAProxy's way, where one of them is (haproxy-compat 3.7): `retries` more attempts, on the same
//! server after a pause unless `option redispatch` lets the session go.

use std::time::Duration;

use config::model::{Back, Balance};

use crate::backend::Backend;
use crate::balance::Tried;
use crate::session::Session;

/// HAProxy's default for `retries`.
const RETRIES: u32 = 3;

/// The pause before the same server is tried again, unless `timeout connect` is shorter.
const TURN_AROUND: Duration = Duration::from_secs(1);

/// What to do next.
pub(super) enum Next<'a> {
    /// The session has had its attempts.
    GiveUp,
    /// The same server, after a pause.
    Same { pause: Duration },
    /// Another one than those.
    Another { tried: &'a Tried },
}

/// What is left to try.
pub(super) enum Rest {
    /// Another attempt.
    Some,
    /// Nothing.
    None,
    /// Whatever was not tried yet, if there is any.
    Among(Tried),
}

/// The attempts of one session.
#[derive(Debug)]
pub(super) struct Attempts {
    tried: Tried,
    haproxy: Option<Haproxy>,
    pinned: bool,
}

/// The settings of HAProxy's way.
#[derive(Debug)]
struct Haproxy {
    left: u32,
    retries: u32,
    redispatch: i32,
    /// Whether a session that nothing pins moves on at the first failure.
    free: bool,
    pause: Duration,
}

impl Attempts {
    /// For a session of that backend; `pinned` when a stick entry chose its server.
    pub(super) fn new(conf: &Back, pinned: bool) -> Self {
        let written = conf.retries.is_some() || conf.redispatch.is_some();
        let retries = conf.retries.unwrap_or(RETRIES);
        let pause = conf
            .timeout_connect
            .filter(|limit| !limit.is_zero())
            .unwrap_or(TURN_AROUND);
        Self {
            tried: Tried::default(),
            haproxy: written.then(|| Haproxy {
                left: retries,
                retries,
                redispatch: conf.redispatch.unwrap_or(0),
                free: !pinned && conf.balance != Balance::Source,
                pause: pause.min(TURN_AROUND),
            }),
            pinned,
        }
    }

    /// Whether neither `retries` nor `option redispatch` ask for HAProxy's way.
    pub(super) fn is_own_way(&self) -> bool {
        self.haproxy.is_none()
    }

    /// Whether a stick entry chose the server that is tried first.
    pub(super) fn pinned(&self) -> bool {
        self.pinned
    }

    /// What would be left to try if the attempt on that server failed.
    pub(super) fn rest(&self, server: usize) -> Rest {
        match &self.haproxy {
            Some(settings) if settings.left > 0 => Rest::Some,
            Some(_) => Rest::None,
            None => {
                let mut tried = self.tried.clone();
                tried.insert(server);
                Rest::Among(tried)
            }
        }
    }

    /// Decides, after an attempt on the session's server failed.
    pub(super) fn after_failure(&mut self, session: &Session, back: &Backend) -> Next<'_> {
        self.pinned = false;
        let Some(failed) = session.server.as_deref() else {
            return Next::GiveUp;
        };
        let Some(settings) = &mut self.haproxy else {
            self.tried.insert(failed.index);
            return Next::Another { tried: &self.tried };
        };
        if settings.left == 0 {
            return Next::GiveUp;
        }
        settings.left -= 1;
        let number = settings.retries - settings.left;
        let due = match settings.redispatch {
            0 => false,
            every @ 1.. => number.is_multiple_of(every.unsigned_abs()),
            from_end => number + from_end.unsigned_abs() == settings.retries + 1,
        };
        let gone = !failed.honours_stick();
        let free = settings.free && back.selector.load().actives() > 1;
        if settings.redispatch != 0 && (due || gone || free) {
            self.tried = Tried::default();
            self.tried.insert(failed.index);
            return Next::Another { tried: &self.tried };
        }
        Next::Same {
            pause: settings.pause,
        }
    }
}
