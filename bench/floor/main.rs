//! The least that relays: what any proxy with two sockets a session pays the kernel.
//!
//! `floor WORKERS LISTEN:TARGET...` takes connections on ports of 127.0.0.1 and relays each to another. No log, no
//! checks, no counters, no timeouts, no choice of a server. As Posthouse does: a listener per worker, each socket added
//! to epoll once, bytes copied at first and spliced later, others let run before waiting where that is worth while.
//! Started with `chrt --batch 0`, it takes nobody's core when it is woken, as workers of Posthouse do not.

use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recv, send, shutdown, socket_with, sockopt,
};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// One read takes at most this.
const SCRATCH: usize = 64 * 1024;

/// Bytes of one direction after which they are spliced.
const SPLICE_AFTER: u64 = 128 * 1024;

const PIPE: usize = 1 << 20;

/// Where a turn serves no more sockets than that, others are let run before the wait.
const FEW: usize = 2;

/// What a socket is not done with.
const HANGUP: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR);

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let workers: usize = words.next().ok_or("how many workers?")?.parse()?;
    let mut routes = Vec::new();
    for word in words {
        let (from, to) = word.split_once(':').ok_or("LISTEN:TARGET, please")?;
        routes.push((from.parse()?, to.parse()?));
    }
    let mut threads = Vec::new();
    for _ in 0..workers {
        let worker = Worker::new(&routes)?;
        threads.push(std::thread::spawn(move || worker.run()));
    }
    for thread in threads {
        thread.join().map_err(|_| "a worker has ended")??;
    }
    Ok(())
}

struct Worker {
    epoll: OwnedFd,
    listeners: Vec<(OwnedFd, SocketAddr)>,
    sessions: Vec<Option<[End; 2]>>,
    free: Vec<usize>,
    tools: Tools,
}

struct Tools {
    scratch: Vec<u8>,
    pipes: Vec<Pipe>,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    filled: usize,
}

struct End {
    socket: OwnedFd,
    readable: bool,
    hangup: bool,
    full: bool,
    wide: bool,
    eof: bool,
    shut: bool,
    moved: u64,
    unsent: Vec<u8>,
    pipe: Option<Pipe>,
}

impl Worker {
    fn new(routes: &[(u16, u16)]) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut listeners = Vec::new();
        for (number, (from, to)) in routes.iter().enumerate() {
            let socket = tcp()?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            sockopt::set_socket_reuseport(&socket, true)?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            bind(&socket, &here(*from))?;
            listen(&socket, 4096)?;
            let token = EventData::new_u64(u64::MAX - number as u64);
            epoll::add(&epoll, &socket, token, EventFlags::IN | EventFlags::ET)?;
            listeners.push((socket, here(*to)));
        }
        Ok(Self {
            epoll,
            listeners,
            sessions: Vec::new(),
            free: Vec::new(),
            tools: Tools {
                scratch: vec![0; SCRATCH],
                pipes: Vec::new(),
            },
        })
    }

    fn run(mut self) -> Result<(), Errno> {
        let mut events = Vec::with_capacity(256);
        let mut ended = Vec::new();
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut crowd = 0;
        loop {
            if crowd <= FEW * 8 {
                std::thread::yield_now();
                self.wait(&mut events, Some(&at_once))?;
            }
            if events.is_empty() {
                self.wait(&mut events, None)?;
            }
            crowd = crowd - crowd / 8 + events.len();
            for event in events.drain(..) {
                let token = event.data.u64();
                let listener = (u64::MAX - token) as usize;
                if listener < self.listeners.len() {
                    self.accept(listener)?;
                } else if self.heed((token / 2) as usize, (token % 2) as usize, event.flags) {
                    ended.push((token / 2) as usize);
                }
            }
            for place in ended.drain(..) {
                self.close(place);
            }
        }
    }

    fn wait(
        &self,
        events: &mut Vec<epoll::Event>,
        patience: Option<&Timespec>,
    ) -> Result<(), Errno> {
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(events),
            patience,
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn accept(&mut self, listener: usize) -> Result<(), Errno> {
        let (socket, to) = &self.listeners[listener];
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(client) = accept_with(socket, flags) {
            let server = tcp()?;
            sockopt::set_tcp_nodelay(&server, true)?;
            match connect(&server, to) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(_) => continue,
            }
            let place = self.free.pop().unwrap_or_else(|| {
                self.sessions.push(None);
                self.sessions.len() - 1
            });
            let ends = [End::new(client), End::new(server)];
            for (side, end) in ends.iter().enumerate() {
                watch(&self.epoll, end, place, side, false)?;
            }
            self.sessions[place] = Some(ends);
        }
        Ok(())
    }

    /// Moves what there is; true: the session is over. An end of two events in one batch is told twice, and closed once.
    fn heed(&mut self, place: usize, side: usize, flags: EventFlags) -> bool {
        let Some(Some([client, server])) = self.sessions.get_mut(place) else {
            return false;
        };
        let end = if side == 0 {
            &mut *client
        } else {
            &mut *server
        };
        end.hangup |= flags.intersects(HANGUP);
        end.readable |= flags.intersects(EventFlags::IN | HANGUP);
        end.full &= !flags.intersects(EventFlags::OUT | HANGUP);
        let moved = pump(client, server, &mut self.tools)
            .and_then(|()| pump(server, client, &mut self.tools));
        for (side, end) in [client, server].into_iter().enumerate() {
            if end.full
                && !std::mem::replace(&mut end.wide, true)
                && watch(&self.epoll, end, place, side, true).is_err()
            {
                return true;
            }
        }
        let Some(Some([client, server])) = self.sessions.get(place) else {
            return false;
        };
        moved.is_err() || client.eof && server.eof && client.is_flushed() && server.is_flushed()
    }

    fn close(&mut self, place: usize) {
        if let Some(ends) = self.sessions[place].take() {
            let emptied = ends
                .into_iter()
                .filter_map(|end| end.pipe)
                .filter(|pipe| pipe.filled == 0);
            self.tools.pipes.extend(emptied);
            self.free.push(place);
        }
    }
}

impl End {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            readable: false,
            hangup: false,
            full: false,
            wide: false,
            eof: false,
            shut: false,
            moved: 0,
            unsent: Vec::new(),
            pipe: None,
        }
    }

    fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && self.pipe.as_ref().is_none_or(|pipe| pipe.filled == 0)
    }
}

fn pump(source: &mut End, sink: &mut End, tools: &mut Tools) -> Result<(), Errno> {
    loop {
        flush(sink)?;
        if !sink.is_flushed() {
            return Ok(());
        }
        if source.eof {
            if !sink.shut && !sink.eof {
                sink.shut = true;
                let _ = shutdown(&sink.socket, Shutdown::Write);
            }
            return Ok(());
        }
        if !source.readable {
            return Ok(());
        }
        let moved = if source.moved < SPLICE_AFTER {
            copy(source, sink, tools)
        } else {
            fill(source, sink, tools)
        };
        match moved {
            Ok(0) => source.eof = true,
            Ok(moved) => source.moved += moved as u64,
            Err(Errno::AGAIN) => source.readable = false,
            Err(error) => return Err(error),
        }
    }
}

fn copy(source: &mut End, sink: &mut End, tools: &mut Tools) -> Result<usize, Errno> {
    let (read, _) = recv(&source.socket, &mut *tools.scratch, RecvFlags::empty())?;
    if read < SCRATCH {
        source.readable = source.hangup;
    }
    if read > 0 {
        let bytes = &tools.scratch[..read];
        let sent = sent(send(&sink.socket, bytes, SendFlags::NOSIGNAL))?;
        if sent < read {
            sink.full = true;
            sink.unsent.extend_from_slice(&bytes[sent..]);
        }
    }
    Ok(read)
}

fn fill(source: &End, sink: &mut End, tools: &mut Tools) -> Result<usize, Errno> {
    let pipe = match sink.pipe.take().or_else(|| tools.pipes.pop()) {
        Some(pipe) => pipe,
        None => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            fcntl_setpipe_size(&write, PIPE)?;
            Pipe {
                read,
                write,
                filled: 0,
            }
        }
    };
    let pipe = sink.pipe.insert(pipe);
    pipe.filled = splice(
        &source.socket,
        None,
        &pipe.write,
        None,
        PIPE,
        SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
    )?;
    Ok(pipe.filled)
}

fn flush(sink: &mut End) -> Result<(), Errno> {
    while !sink.full && !sink.unsent.is_empty() {
        let sent = sent(send(&sink.socket, &sink.unsent, SendFlags::NOSIGNAL))?;
        sink.full = sent < sink.unsent.len();
        sink.unsent.drain(..sent);
    }
    if let Some(pipe) = &mut sink.pipe {
        while !sink.full && pipe.filled > 0 {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            let sent = sent(splice(
                &pipe.read,
                None,
                &sink.socket,
                None,
                pipe.filled,
                flags,
            ))?;
            sink.full = sent == 0;
            pipe.filled -= sent;
        }
    }
    Ok(())
}

fn sent(result: Result<usize, Errno>) -> Result<usize, Errno> {
    match result {
        Err(Errno::AGAIN) => Ok(0),
        other => other,
    }
}

fn watch(epoll: &OwnedFd, end: &End, place: usize, side: usize, again: bool) -> Result<(), Errno> {
    let token = EventData::new_u64((place * 2 + side) as u64);
    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if again {
        epoll::modify(epoll, &end.socket, token, flags | EventFlags::OUT)
    } else {
        epoll::add(epoll, &end.socket, token, flags)
    }
}

fn tcp() -> Result<OwnedFd, Errno> {
    socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

fn here(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
