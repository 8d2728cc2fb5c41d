//! A program in a terminal of its own, by tmux: keys go in, the screen is read.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::{need, run, wait_until};

/// A terminal that is ended with its value.
#[derive(Debug)]
pub struct Terminal {
    /// A tmux server of its own.
    name: String,
}

impl Terminal {
    /// Runs a shell command in a terminal of that size.
    ///
    /// # Errors
    /// No tmux.
    pub fn start(command: &str, (width, height): (u16, u16)) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        need("tmux", "tmux")?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self {
            name: format!("posthouse-{}-{count}", std::process::id()),
        };
        let (width, height) = (width.to_string(), height.to_string());
        let size = ["-x", &width, "-y", &height];
        // No configuration of the user's; the screen stays when the command has ended.
        let first = [
            &["-f", "/dev/null", "new-session", "-d"][..],
            &size,
            &["sh", "-c"],
        ];
        let held = format!("{command}; exec sleep 600");
        run(terminal.tmux().args(first.concat()).arg(held))?;
        Ok(terminal)
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .args(["-u", "-L", &self.name]);
        command
    }

    /// Presses keys, each as `tmux send-keys` names it: `q`, `Down`, `C-z`.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        run(self.tmux().arg("send-keys").args(keys)).map(drop)
    }

    /// What is on the screen.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn screen(&self) -> Result<String> {
        run(self.tmux().args(["capture-pane", "-p"]))
    }

    /// Waits until the screen has a text; returns the screen.
    ///
    /// # Errors
    /// It has not within [`crate::PATIENCE`]; the screen is in the error.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        let mut screen = String::new();
        wait_until(&format!("{text:?} is on the screen"), || {
            screen = self.screen().unwrap_or_default();
            screen.contains(text)
        })
        .with_context(|| screen.clone())?;
        Ok(screen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}
