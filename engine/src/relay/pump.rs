//! One direction of a row: read from one end, send to the other.
//!
//! Small transfers are copied through the worker's scratch buffer and sent at once, so a session holds
//! a buffer only while its receiver is full. Past [`SPLICE_AFTER`] bytes a pipe carries them.

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, shutdown};
use rustix::pipe::{SpliceFlags, splice};

use super::end::{End, Pending};
use super::pipe::PipePool;

/// Bytes of one direction after which splice is cheaper than copying.
pub(super) const SPLICE_AFTER: u64 = 128 * 1024;

/// Bytes a direction may move before other sessions get their turn.
const BUDGET: usize = 256 * 1024;

/// What the rows of a worker share while they are pumped.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(super) scratch: Vec<u8>,
    pub(super) pipes: PipePool,
    pub(super) now: u32,
}

/// How far a direction got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Everything there was has gone.
    Idle,
    /// The budget is used up.
    Again,
    /// The sink takes no more for now.
    Blocked,
    /// Reading failed: the source reset or vanished.
    SourceBroken,
    /// Writing failed: the sink reset or vanished.
    SinkBroken,
}

/// Moves bytes from `source` to `sink` until nothing is left, the sink is full or the budget is spent.
pub(super) fn pump(source: &mut End, sink: &mut End, tools: &mut Tools) -> Flow {
    let mut budget = BUDGET;
    loop {
        match flush(sink, tools) {
            Ok(true) => {}
            Ok(false) => return Flow::Blocked,
            Err(_) => return Flow::SinkBroken,
        }
        if source.eof {
            pass_end_on(source, sink);
            return Flow::Idle;
        }
        if !source.socket.state().readable {
            return Flow::Idle;
        }
        if budget == 0 {
            return Flow::Again;
        }
        let moved = if tools.pipes.enabled() && source.moved >= SPLICE_AFTER {
            fill_pipe(source, sink, tools)
        } else {
            copy(source, sink, tools)
        };
        match moved {
            Ok(0) => source.eof = true,
            Ok(n) => {
                budget = budget.saturating_sub(n);
                source.moved += n as u64;
                source.last = tools.now;
            }
            Err(Broken::Empty) => {}
            Err(Broken::Source) => return Flow::SourceBroken,
            Err(Broken::Sink) => return Flow::SinkBroken,
        }
    }
}

/// Why a move brought nothing.
enum Broken {
    /// The source has nothing now.
    Empty,
    Source,
    Sink,
}

/// Reads once and sends it on; what the sink does not take is kept for it. `Ok(0)`: the source ended.
fn copy(source: &End, sink: &mut End, tools: &mut Tools) -> Result<usize, Broken> {
    let read = match source.socket.recv(&mut tools.scratch) {
        Ok(read) => read,
        Err(Errno::AGAIN) => return Err(Broken::Empty),
        Err(_) => return Err(Broken::Source),
    };
    if read == 0 {
        return Ok(0);
    }
    let bytes = &tools.scratch[..read];
    let Ok(sent) = sink.socket.send(bytes, SendFlags::empty()) else {
        return Err(Broken::Sink);
    };
    if sent > 0 {
        sink.last = tools.now;
    }
    if sent < read {
        sink.pending = Some(Box::new(Pending {
            bytes: bytes[sent..].to_vec(),
            ..Pending::default()
        }));
    }
    Ok(read)
}

/// Splices once into a pipe towards the sink; the caller flushes it. `Ok(0)`: the source ended.
fn fill_pipe(source: &mut End, sink: &mut End, tools: &mut Tools) -> Result<usize, Broken> {
    let Some(mut pipe) = tools.pipes.take() else {
        return copy(source, sink, tools);
    };
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    let moved = splice(
        &source.socket,
        None,
        &pipe.write,
        None,
        PipePool::chunk(),
        flags,
    );
    if let Ok(filled @ 1..) = moved {
        pipe.filled = filled;
        sink.pending = Some(Box::new(Pending {
            pipe: Some(pipe),
            ..Pending::default()
        }));
        return Ok(filled);
    }
    tools.pipes.give(pipe);
    match moved {
        Ok(_) => Ok(0),
        Err(Errno::AGAIN) => {
            source.socket.is_drained();
            Err(Broken::Empty)
        }
        Err(Errno::INTR) => fill_pipe(source, sink, tools),
        // A kind of socket that cannot be spliced: copying always works.
        Err(Errno::INVAL | Errno::NOSYS) => copy(source, sink, tools),
        Err(_) => Err(Broken::Source),
    }
}

/// Sends what waits for the sink; `true` when nothing is left.
fn flush(sink: &mut End, tools: &mut Tools) -> Result<bool, Errno> {
    let Some(mut pending) = sink.pending.take() else {
        return Ok(true);
    };
    let mut left = true;
    while left && !sink.socket.state().full {
        let sent = match &mut pending.pipe {
            Some(pipe) => {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                match splice(&pipe.read, None, &sink.socket, None, pipe.filled, flags) {
                    Ok(sent) => {
                        pipe.filled -= sent;
                        left = pipe.filled > 0;
                        sent
                    }
                    Err(Errno::AGAIN) => {
                        sink.socket.is_full();
                        0
                    }
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error),
                }
            }
            None => {
                let sent =
                    (sink.socket).send(&pending.bytes[pending.sent..], SendFlags::empty())?;
                pending.sent += sent;
                left = pending.sent < pending.bytes.len();
                sent
            }
        };
        if sent > 0 {
            sink.last = tools.now;
        }
    }
    if left {
        sink.pending = Some(pending);
        return Ok(false);
    }
    if let Some(pipe) = pending.pipe {
        tools.pipes.give(pipe);
    }
    Ok(true)
}

/// Tells the sink that no more will come, once, when everything was sent. When the sink has ended too,
/// closing says it.
fn pass_end_on(source: &End, sink: &mut End) {
    if source.eof && !sink.shut && !sink.eof {
        sink.shut = true;
        // ENOTCONN: the sink has reset; reading from it will tell.
        let _ = shutdown(&sink.socket, Shutdown::Write);
    }
}
