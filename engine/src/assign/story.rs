//! What befell a session on its way to a server, for its log line.

use std::fmt;
use std::sync::Arc;

use crate::session::Session;

/// The attempts that came to nothing, and when in the session's life, in ms.
#[derive(Debug, Default)]
pub(crate) struct Story(Vec<(Arc<str>, &'static str, u32)>);

impl fmt::Display for Story {
    /// `mail1:silent:300ms,mail2:refused:301ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (server, what, at)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{server}:{what}:{at}ms")?;
        }
        Ok(())
    }
}

/// A line stays a line, however often a session is held and tries again.
const LONGEST: usize = 16;

impl Session {
    pub(super) fn tell_story(&mut self, server: &Arc<str>, what: &'static str) {
        let age = self.age();
        let story = self.story.get_or_insert_default();
        if story.0.len() < LONGEST {
            story.0.push((Arc::clone(server), what, age));
        }
    }
}
