//! `posthouse top` in a real terminal, over Posthouse's socket and Debian's HAProxy's.

use std::process::Command;

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use testkit::proxy::{Program, Proxy};
use testkit::server::{Manner, Server};
use testkit::terminal::Terminal;
use testkit::wait_until;

use crate::support::{config, free_port};

const SIZE: (u16, u16) = (130, 24);

struct Scene {
    server: Server,
    proxy: Proxy,
}

fn scene(program: Program) -> Result<Scene> {
    let server = Server::start(Manner::Mail)?;
    let backend = format!(
        "option smtpchk\n    server mail1 {0} check\n    server mail2 {0} backup",
        server.address()
    );
    let proxy = Proxy::start(program, &config(free_port()?, "", &backend))?;
    proxy.wait_for_status("be", "mail1", "UP")?;
    Ok(Scene { server, proxy })
}

impl Scene {
    /// Its exit code and the state of the terminal are told when it ends.
    fn top(&self, options: &str) -> Result<Terminal> {
        let program = Program::Posthouse.path()?;
        let socket = self.proxy.socket();
        let command = format!(
            "{} top -s {} -d 0.2 {options}; echo ended with $?; stty -a | grep -o ' -*icanon\\| -*echo '",
            program.display(),
            socket.display()
        );
        Terminal::start(&command, SIZE)
    }
}

#[test]
fn it_shows_and_drains_with_both_programs() -> Result<()> {
    for program in [Program::Posthouse, Program::Haproxy] {
        let scene = scene(program)?;
        let top = scene.top("")?;
        let screen = top.wait_for("be <- mail1")?;
        ensure!(
            screen.contains("mail2 (backup)") && screen.contains("L7OK"),
            "{screen}"
        );
        // A key asks; without a yes nothing is done.
        top.press(&["Down", "d"])?;
        top.wait_for("Drain be/mail1?")?;
        top.press(&["n"])?;
        top.wait_for("nothing done")?;
        ensure!(scene.proxy.status("be", "mail1")? == "UP");
        top.press(&["d", "y"])?;
        scene.proxy.wait_for_status("be", "mail1", "DRAIN")?;
        top.wait_for("be <- backup mail2")?;
        // The next one would leave nobody.
        top.press(&["Down", "m"])?;
        top.wait_for("It is the LAST server that serves be!")?;
        top.press(&["n", "Up", "r", "y"])?;
        scene.proxy.wait_for_status("be", "mail1", "UP")?;
        top.wait_for("be <- mail1")?;
        // A change that comes from elsewhere is seen.
        scene.server.stop();
        scene.proxy.wait_for_status("be", "mail1", "DOWN")?;
        top.wait_for("1 DOWN")?;
        top.press(&["/", "D", "O", "W", "N", "Enter"])?;
        let screen = top.wait_for("filter: DOWN")?;
        ensure!(!screen.contains("mail2 (backup)"), "{screen}");
        top.press(&["q"])?;
        top.wait_for("ended with 0")?;
    }
    Ok(())
}

/// However it ends, the terminal is as it was.
#[test]
fn the_terminal_is_given_back() -> Result<()> {
    let scene = scene(Program::Posthouse)?;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let top = scene.top("")?;
        top.wait_for("be <- mail1")?;
        let mut pid = None;
        wait_until("its process is found", || {
            pid = process_of(&scene);
            pid.is_some()
        })?;
        if let Some(pid) = pid {
            kill_process(pid, signal)?;
        }
        let screen = top.wait_for(&format!("ended with {}", 128 + signal.as_raw()))?;
        let cooked = top.wait_for("\n echo")?;
        ensure!(
            cooked.contains(" icanon") && !cooked.contains("-icanon"),
            "{screen}{cooked}"
        );
        ensure!(!cooked.contains("LAST CHECK"), "{cooked}");
    }
    Ok(())
}

/// The process of `posthouse top` that watches this scene's socket.
fn process_of(scene: &Scene) -> Option<Pid> {
    let wanted = format!("top\0-s\0{}\0", scene.proxy.socket().display());
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let is_it = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(&wanted) && !line.starts_with("sh\0")
    };
    let entry = processes.into_iter().find(is_it)?;
    Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)
}

#[test]
fn a_proxy_that_goes_is_told_and_one_that_comes_back_is_seen() -> Result<()> {
    let mut scene = scene(Program::Posthouse)?;
    let top = scene.top("")?;
    top.wait_for("be <- mail1")?;
    scene.proxy.signal(Signal::STOP)?;
    top.wait_for("NOT REACHED")?;
    scene.proxy.signal(Signal::CONT)?;
    top.wait_for("be <- mail1")?;
    scene.proxy.signal(Signal::TERM)?;
    scene.proxy.wait()?;
    top.wait_for("NOT REACHED")?;
    Ok(())
}

#[test]
fn once_is_for_scripts() -> Result<()> {
    let scene = scene(Program::Posthouse)?;
    let socket = scene.proxy.socket().display().to_string();
    let top = |arguments: &[&str]| {
        let all = [&["top", "-s", &socket], arguments].concat();
        Command::new(Program::Posthouse.path()?)
            .args(all)
            .output()
            .map_err(anyhow::Error::from)
    };
    let output = top(&["--once", "--filter", "mail"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said.contains("be <- mail1\n"),
        "{said}"
    );
    ensure!(
        said.lines().filter(|line| line.starts_with("be ")).count() == 3,
        "{said}"
    );
    // Without a terminal, and without a proxy, it says what to do.
    let output = top(&[])?;
    ensure!(output.status.code() == Some(2));
    ensure!(String::from_utf8_lossy(&output.stderr).contains("--once"));
    drop(scene);
    let output = top(&["--once"])?;
    ensure!(output.status.code() == Some(2));
    ensure!(String::from_utf8_lossy(&output.stderr).contains("is the proxy running"));
    Ok(())
}
