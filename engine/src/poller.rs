//! A thread's one epoll instance, and what is known of the sockets that it watches.
//!
//! A [`Socket`](crate::socket::Socket) gets an entry here when somebody first waits for it, and keeps it until it is
//! closed: one `epoll_ctl` in a socket's life, a second one only if its send buffer was ever full. Whom an event
//! concerns changes on the way, first a task and then a row of the relay table, and that is a matter of the entry
//! alone. Edge triggered: what was reported stays noted until somebody finds the socket empty, or full.
//!
//! An entry's generation is part of its epoll token: an event for a socket that was closed in the same batch is not
//! mistaken for its successor's.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Waker;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sock;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// A token that no socket has: the thread's bell.
const BELL: u64 = u64::MAX;

/// Something is over at that socket; only reading it tells what.
const HANGUP: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR)
    .union(EventFlags::PRI);

thread_local! {
    static POLLER: OnceCell<Poller> = const { OnceCell::new() };
}

struct Poller {
    epoll: OwnedFd,
    entries: RefCell<Slab<Entry>>,
    events: RefCell<Vec<epoll::Event>>,
    generation: Cell<u32>,
    /// Somebody waits with it.
    attended: Cell<bool>,
}

/// What is known of a socket. There are two for each idle session: no larger than it must be.
#[derive(Debug)]
struct Entry {
    owner: Owner,
    generation: u32,
    state: State,
}

/// What a socket is good for, as far as is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// The kernel may have bytes for us, or an end.
    pub(crate) readable: bool,
    /// A hang-up was reported: read on until the end or the error shows.
    pub(crate) hangup: bool,
    /// It takes no bytes now.
    pub(crate) full: bool,
    /// The kernel was asked to report when it does again.
    wide: bool,
}

/// Whom an event concerns.
#[derive(Debug)]
enum Owner {
    /// Who waits.
    Task(Waker),
    /// A place in the relay table.
    Row(u32),
}

impl Owner {
    const NOBODY: Self = Self::Row(u32::MAX);
}

/// Gives this thread a poller that it looks after itself, with [`wait`] and [`note`].
///
/// # Errors
/// The system has no room for it.
pub(crate) fn adopt() -> io::Result<()> {
    make(true)
}

fn make(attended: bool) -> io::Result<()> {
    let poller = Poller {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        entries: RefCell::default(),
        events: RefCell::new(Vec::with_capacity(BATCH)),
        generation: Cell::new(0),
        attended: Cell::new(attended),
    };
    // A second one would be as good as the first.
    POLLER.with(|cell| drop(cell.set(poller)));
    Ok(())
}

/// On a thread that waits with a runtime, the control thread's, has that look after the poller.
fn attend() -> io::Result<()> {
    if POLLER.with(|poller| poller.get().is_none()) {
        make(false)?;
    }
    with(|poller| {
        if !poller.attended.get() {
            let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
            let epoll = poller.epoll.as_fd().try_clone_to_owned()?;
            poller.attended.set(true);
            runtime.spawn(tend(sock::watch(epoll, Interest::READABLE)?));
        }
        Ok(())
    })
}

/// Wakes who waits for a socket, whenever the runtime reports that there is something.
async fn tend(epoll: AsyncFd<OwnedFd>) {
    let _attends = Attends;
    while let Ok(mut ready) = epoll.readable().await {
        // Nothing is lost: what comes from now on is reported anew.
        ready.clear_ready();
        loop {
            let events = wait(Some(Duration::ZERO));
            for event in &events {
                note(event);
            }
            let full = events.len() == BATCH;
            keep(events);
            if !full {
                break;
            }
        }
    }
}

/// As long as the runtime looks after the thread's poller.
struct Attends;

impl Drop for Attends {
    fn drop(&mut self) {
        let _ = POLLER.try_with(|poller| poller.get().map(|poller| poller.attended.set(false)));
    }
}

/// Has the thread woken when that descriptor becomes readable.
pub(crate) fn hear(bell: impl AsFd) -> io::Result<()> {
    let flags = EventFlags::IN | EventFlags::ET;
    with(|poller| {
        Ok(epoll::add(
            &poller.epoll,
            bell,
            EventData::new_u64(BELL),
            flags,
        )?)
    })
}

/// Asks the kernel what there is, and waits so long where there is nothing; `None`: until something comes. What it says
/// is to be noted, one by one, and the list kept.
pub(crate) fn wait(patience: Option<Duration>) -> Vec<epoll::Event> {
    let timeout = patience.map(|patience| Timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    });
    let events = with(|poller| {
        let mut events = poller.events.take();
        let room = rustix::buffer::spare_capacity(&mut events);
        if let Err(error) = epoll::wait(&poller.epoll, room, timeout.as_ref()) {
            debug_assert_eq!(error, Errno::INTR);
        }
        Ok(events)
    });
    events.unwrap_or_default()
}

/// Keeps an event list for the next time.
pub(crate) fn keep(mut events: Vec<epoll::Event>) {
    events.clear();
    let _ = with(|poller| Ok(poller.events.replace(events)));
}

/// Notes an event, and wakes the task that it concerns; if it is a row, its place comes back.
pub(crate) fn note(event: &epoll::Event) -> Option<u32> {
    let (token, flags) = (event.data.u64(), event.flags);
    let (key, generation) = (token as u32, (token >> 32) as u32);
    let woken = with(|poller| {
        let mut entries = poller.entries.borrow_mut();
        let entry = entries
            .get_mut(key as usize)
            .filter(|entry| entry.generation == generation);
        let Some(entry) = entry else { return Ok(None) };
        let state = &mut entry.state;
        state.hangup |= flags.intersects(HANGUP);
        state.readable |= flags.intersects(EventFlags::IN | HANGUP);
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            state.full = false;
        }
        Ok(Some(match &entry.owner {
            Owner::Row(place) => Owner::Row(*place),
            Owner::Task(_) => std::mem::replace(&mut entry.owner, Owner::NOBODY),
        }))
    });
    match woken.ok()?? {
        Owner::Row(u32::MAX) => None,
        Owner::Row(place) => Some(place),
        Owner::Task(waker) => {
            waker.wake();
            None
        }
    }
}

/// Begins to watch a socket; by what it is known from now on. `full`: whether it takes bytes is waited for first.
pub(crate) fn enter(socket: BorrowedFd<'_>, full: bool) -> io::Result<u32> {
    attend()?;
    with(|poller| {
        let generation = poller.generation.get().wrapping_add(1);
        poller.generation.set(generation);
        let mut entries = poller.entries.borrow_mut();
        let place = entries.vacant_entry();
        let key = place.key() as u32;
        let token = EventData::new_u64(u64::from(generation) << 32 | u64::from(key));
        epoll::add(&poller.epoll, socket, token, interest(full))?;
        let state = State {
            full,
            wide: full,
            ..State::default()
        };
        let owner = Owner::NOBODY;
        place.insert(Entry {
            owner,
            generation,
            state,
        });
        Ok(key)
    })
}

/// Forgets a socket that is about to be closed, which takes it out of epoll.
pub(crate) fn leave(key: u32) {
    // Its waker is dropped when nothing is borrowed any more.
    let _ = POLLER.try_with(|poller| {
        let poller = poller.get()?;
        let mut entries = poller.entries.borrow_mut();
        let entry = entries.try_remove(key as usize);
        if entries.is_empty() {
            entries.shrink_to_fit();
        }
        entry
    });
}

/// Takes a descriptor out of epoll.
pub(crate) fn forget(socket: BorrowedFd<'_>) {
    let _ = with(|poller| Ok(epoll::delete(&poller.epoll, socket)?));
}

/// What is known of a socket.
pub(crate) fn state(key: u32) -> State {
    change(key, |entry| entry.state).unwrap_or_default()
}

/// Lets it be known what somebody has found out by trying.
pub(crate) fn set_state(key: u32, set: impl FnOnce(&mut State)) {
    change(key, |entry| set(&mut entry.state));
}

/// Has a task woken when something is reported of the socket.
pub(crate) fn wake_for(key: u32, waker: &Waker) {
    let before = change(key, |entry| match &entry.owner {
        Owner::Task(known) if known.will_wake(waker) => None,
        _ => Some(std::mem::replace(
            &mut entry.owner,
            Owner::Task(waker.clone()),
        )),
    });
    drop(before);
}

/// From now on the socket is that row's.
pub(crate) fn give_to_row(key: u32, place: u32) {
    let before = change(key, |entry| {
        std::mem::replace(&mut entry.owner, Owner::Row(place))
    });
    drop(before);
}

/// Has the kernel report when the socket takes bytes again. Once asked for it stays: it costs an event only after a
/// full send buffer.
pub(crate) fn widen(key: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    with(|poller| {
        let mut entries = poller.entries.borrow_mut();
        let Some(entry) = entries.get_mut(key as usize) else {
            return Ok(());
        };
        if !std::mem::replace(&mut entry.state.wide, true) {
            let token = EventData::new_u64(u64::from(entry.generation) << 32 | u64::from(key));
            epoll::modify(&poller.epoll, socket, token, interest(true))?;
        }
        Ok(())
    })
}

fn interest(out: bool) -> EventFlags {
    let mut flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    flags.set(EventFlags::OUT, out);
    flags
}

fn change<T>(key: u32, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
    let changed = with(|poller| {
        Ok(poller
            .entries
            .borrow_mut()
            .get_mut(key as usize)
            .map(change))
    });
    changed.ok()?
}

fn with<T>(use_it: impl FnOnce(&Poller) -> io::Result<T>) -> io::Result<T> {
    let none = || io::Error::other("nothing is watched on this thread");
    POLLER.with(|poller| use_it(poller.get().ok_or_else(none)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
