//! Which replies mean that the server, not the message, is the problem.

use super::reply::{Reply, Status};
use super::tape::Kind;

/// Whose fault a reply tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server is stopping, or cannot work.
    Leaving,
    /// It has no room for this connection; another may have.
    Busy,
}

/// The fault that a reply tells of, where another server is worth asking.
///
/// At the end of data the server has to say that it is the problem itself: 421, 452 4.3.1, 450 or 451 with
/// 4.3.x. A code without an enhanced status may be greylisting, and another server would only start it anew.
pub(super) fn fault(kind: Kind, reply: &Reply<'_>) -> Option<Fault> {
    let status = reply
        .status()
        .map(|Status { subject, detail }| (subject, detail));
    match (reply.code, status) {
        (421, None | Some((3, _))) => Some(Fault::Leaving),
        (421, Some((7, 0))) if !kind.is_end() => Some(Fault::Busy),
        (452, Some((3, 1))) if kind.is_end() => Some(Fault::Leaving),
        (450 | 451, Some((3, _))) if kind.is_end() => Some(Fault::Leaving),
        _ => None,
    }
}
