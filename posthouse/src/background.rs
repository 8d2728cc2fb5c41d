//! `-D`: a second process of our own, in a session of its own, that tells the first when it is ready.
//!
//! Forking a process is not safe Rust, so the background process is started from the same program
//! with the same words and [`MARK`] in its environment. It binds, writes the pid file and drops its
//! rights; then it writes one byte into the pipe that is its standard input, and lets go of the
//! terminal. The first process waits for that byte, or for the second's end, whose exit code it makes
//! its own: a script sees a failed start as a failed command.
//!
//! Because the files are read by both, `-D` cannot read a configuration from a pipe.

use std::fs::OpenOptions;
use std::io::{PipeReader, Read};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context;

/// The environment variable that makes a process the second one.
const MARK: &str = "POSTHOUSE_BACKGROUND";

/// Whether this process is the second one: the first has told what the files have wrong.
pub(crate) fn is_second() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts the second process and waits until it is ready or has given up.
pub(crate) fn start() -> anyhow::Result<ExitCode> {
    let (ready, tell) = std::io::pipe().context("no pipe for the background process")?;
    // Not `current_exe`: after an upgrade that is the deleted file's name.
    let mut command = Command::new("/proc/self/exe");
    let mut words = std::env::args_os();
    if let Some(name) = words.next() {
        use std::os::unix::process::CommandExt;
        command.arg0(name);
    }
    let child = command
        .args(words)
        .env(MARK, "1")
        .stdin(Stdio::from(tell))
        .spawn()
        .context("cannot start the background process")?;
    // The command holds the pipe's other end; as long as it lives the pipe would not end.
    drop(command);
    wait(ready, child)
}

fn wait(mut ready: PipeReader, mut child: Child) -> anyhow::Result<ExitCode> {
    let mut byte = [0];
    if matches!(ready.read(&mut byte), Ok(1)) {
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().context("the background process is lost")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // It never said that it was ready, so an end without complaint is a failure all the same.
    Ok(ExitCode::from(code.filter(|code| *code != 0).unwrap_or(1)))
}

/// The second process leaves the session of the first; done before anything is bound.
pub(crate) fn leave_session() -> anyhow::Result<()> {
    rustix::process::setsid().context("setsid")?;
    Ok(())
}

/// `/dev/null`, opened while it can still be seen: a chroot has none.
pub(crate) fn nowhere() -> anyhow::Result<std::fs::File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("/dev/null")
}

/// Tells the first process that all is well, and lets go of its terminal.
pub(crate) fn ready(nowhere: &std::fs::File) -> anyhow::Result<()> {
    // A first process that was killed meanwhile needs no answer.
    let _ = rustix::io::write(rustix::stdio::stdin(), b"R");
    rustix::stdio::dup2_stdin(nowhere).context("stdin")?;
    rustix::stdio::dup2_stdout(nowhere).context("stdout")?;
    rustix::stdio::dup2_stderr(nowhere).context("stderr")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(script: &str) -> ExitCode {
        let (ready, tell) = std::io::pipe().unwrap();
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::from(tell))
            .spawn()
            .unwrap();
        wait(ready, child).unwrap()
    }

    #[test]
    fn the_first_process_ends_with_the_verdict_of_the_second() {
        let same = |a: ExitCode, b: u8| {
            assert_eq!(format!("{a:?}"), format!("{:?}", ExitCode::from(b)));
        };
        // The script outlives its word, as the background process does.
        same(verdict("printf R >&0; exec 0>&-; exit 0"), 0);
        same(verdict("exit 1"), 1);
        same(verdict("exit 3"), 3);
        same(verdict("exit 0"), 1);
        same(verdict("kill -9 $$"), 1);
    }
}
