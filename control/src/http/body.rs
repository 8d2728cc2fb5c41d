//! What is sent: a whole document, or a stream that ends when its reader is too slow or nobody sends any more.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use engine::PageSession;
use hyper::body::{Body as Read, Bytes, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

/// The body of a reply.
pub(super) enum Body {
    /// `None`: it has been sent.
    Whole(Option<Bytes>),
    Stream {
        parts: Receiver<Bytes>,
        /// Counts what is sent.
        session: Rc<PageSession>,
    },
}

impl Body {
    pub(super) fn whole(text: String) -> Self {
        Self::Whole(Some(text.into()))
    }
}

impl Read for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = match &mut *self {
            Self::Whole(text) => Poll::Ready(text.take().filter(|text| !text.is_empty())),
            Self::Stream { parts, session } => parts
                .poll_recv(context)
                .map(|part| part.inspect(|part| session.sent(part.len() as u64))),
        };
        part.map(|part| part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}
