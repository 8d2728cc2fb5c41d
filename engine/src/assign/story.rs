//! What befell a session on its way to a server, for its log line and the time it took.

use std::fmt;
use std::sync::Arc;

use crate::clock::Millis;
use crate::session::Session;

/// The attempts that came to nothing. Times are ms of the session's life.
#[derive(Debug)]
pub(crate) struct Story {
    /// Server, what it did, and when that was noticed.
    attempts: Vec<(Arc<str>, &'static str, u32)>,
    /// Since when a server fails it: the first failure, or the begin of a silence that is older.
    failing_since: u32,
}

impl fmt::Display for Story {
    /// `mail1:silent:300ms,mail2:refused:301ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (server, what, at)) in self.attempts.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{server}:{what}:{at}ms")?;
        }
        Ok(())
    }
}

/// A line stays a line, however often a session is held and tries again.
const LONGEST: usize = 16;

impl Session {
    /// An attempt came to nothing. It failed at `since`, or was silent from then on.
    pub(super) fn tell_story(&mut self, server: &Arc<str>, what: &'static str, since: Millis) {
        let age = self.age();
        let since = since.saturating_sub(self.began) as u32;
        let story = self.story.get_or_insert_with(|| {
            Box::new(Story {
                attempts: Vec::with_capacity(1),
                failing_since: since,
            })
        });
        story.failing_since = story.failing_since.min(since);
        if story.attempts.len() < LONGEST {
            story.attempts.push((Arc::clone(server), what, age));
        }
    }

    /// How long it has been failed by servers, in ms; `None`: none has failed it.
    pub(super) fn failing_for(&self) -> Option<Millis> {
        let since = self.story.as_ref()?.failing_since;
        Some(Millis::from(self.age().saturating_sub(since)))
    }
}
