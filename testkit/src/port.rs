//! Ports for those who are told where to listen, before they do.
//!
//! A port that the kernel hands out may be somebody's source port a moment later. These lie below the range it takes
//! those from, and no two test processes share a block of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// The ports that are given out: above the well-known ones.
const FIRST: u16 = 12_000;

/// Ports of a block. The first is the process's claim; the others are used in turn.
const BLOCK: u16 = 1_000;

/// This process's block.
#[derive(Debug)]
struct Block {
    _claim: TcpListener,
    first: u16,
    next: u16,
}

/// A port of 127.0.0.1 that nobody uses, nor will until a thousand others were asked for.
///
/// # Errors
/// All are in use.
pub fn free() -> Result<SocketAddr> {
    static OWN: Mutex<Option<Block>> = Mutex::new(None);
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let block = match &mut *own {
        Some(block) => block,
        none => none.insert(claim()?),
    };
    for _ in 1..BLOCK {
        block.next = block.next % (BLOCK - 1) + 1;
        let address = local(block.first + block.next);
        // Asked, not taken: what a thread has open for a moment, a program that another one starts has a moment longer.
        if TcpStream::connect(address).is_err() {
            return Ok(address);
        }
    }
    anyhow::bail!("the ports from {} on are all in use", block.first)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn claim() -> Result<Block> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let end: u16 = range
        .split_whitespace()
        .next()
        .context("a range of ports")?
        .parse()?;
    let mut blocks = (FIRST..end.saturating_sub(BLOCK)).step_by(BLOCK.into());
    blocks
        .find_map(|first| {
            let claim = TcpListener::bind(local(first)).ok()?;
            Some(Block {
                _claim: claim,
                first,
                next: 0,
            })
        })
        .with_context(|| format!("all ports from {FIRST} to {end} are claimed by other tests"))
}
