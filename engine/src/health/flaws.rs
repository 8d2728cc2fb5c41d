//! Degraded: a server that passes its deep check and is not well.
//!
//! It is so at once, and no longer when `rise` checks in a row have found nothing. One that has no room for mail or
//! is slow is left alone while others serve, like one in reserve; where all are degraded, nobody is.

use wire::check::Flaw;

use super::Health;

#[derive(Debug, Default)]
pub(super) struct Flaws {
    now: Option<Flaw>,
    /// Checks in a row that have found nothing.
    clean: u32,
}

impl Flaws {
    /// What a check that has passed found. True: that changes something.
    pub(super) fn found(&mut self, flaw: Option<Flaw>, rise: u32) -> bool {
        let before = self.now;
        self.clean = if flaw.is_some() { 0 } else { self.clean + 1 };
        if flaw.is_some() || self.clean >= rise {
            self.now = flaw;
        }
        self.now != before
    }
}

impl Health {
    /// Why it is not well, of a server that is UP.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaws.now.filter(|_| self.is_up() && !self.in_maint())
    }

    /// Whether sessions are better off elsewhere.
    pub fn is_avoided(&self) -> bool {
        self.flaw().is_some_and(Flaw::hurts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_finds_a_flaw_and_several_must_find_none() {
        let mut flaws = Flaws::default();
        assert!(!flaws.found(None, 2));
        assert!(flaws.found(Some(Flaw::Space), 2));
        assert!(!flaws.found(Some(Flaw::Space), 2));
        assert!(!flaws.found(None, 2));
        assert!(flaws.found(Some(Flaw::Slow), 2), "another is news");
        assert!(!flaws.found(None, 2));
        assert!(flaws.found(None, 2));
        assert_eq!(flaws.now, None);
    }
}
