//! Messages that arrive. What was sent of one before it is whole is memory that nobody has admitted yet: a large one
//! waits for room before it is read on, and one that does not become whole in time ends its call.

use std::pin::Pin;
use std::time::Duration;

use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Context, Future, Poll};

use super::inflight::{Inflight, Room};
use super::status::timed_out;

/// Messages of at most so many bytes need no room: there are as many of them as there are streams.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// Bytes before each message: a flag, and the message's length, big-endian
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
const HEAD_BYTES: usize = 5;

type Waiting = Pin<Box<dyn Future<Output = Option<Room>> + Send>>;

/// What calls share.
#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    /// Room for messages that are not whole, or not taken yet.
    pub(super) room: Inflight,
    /// How long a message may take to become whole, once its first bytes are there.
    pub(super) time_max: Duration,
}

impl Arrivals {
    /// The body of a request of this caller.
    pub(super) fn body(&self, caller: &str, body: Body) -> Body {
        Body::new(self.arriving(caller, body))
    }

    fn arriving(&self, caller: &str, body: Body) -> ArrivingBody {
        ArrivingBody {
            body,
            arrivals: self.clone(),
            caller: caller.to_owned(),
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            rest: 0,
            clock: None,
            waiting: None,
            held: None,
        }
    }
}

struct ArrivingBody {
    body: Body,
    arrivals: Arrivals,
    caller: String,
    /// What there is of the next message's head.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the message that are still to come.
    rest: usize,
    /// Runs while a message has begun and is not whole.
    clock: Option<Pin<Box<Sleep>>>,
    /// Resolves to room for the message that has begun.
    waiting: Option<Waiting>,
    held: Option<Room>,
}

impl ArrivingBody {
    /// Whether no message has begun, or the last one is whole.
    fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.rest == 0
    }

    /// Follows the messages through what came.
    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len());
                self.rest -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            let (head, after) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head_bytes));
            if let Some(place) = self.head.get_mut(self.head_bytes..self.head_bytes + head.len()) {
                place.copy_from_slice(head);
            }
            self.head_bytes += head.len();
            bytes = after;
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                let [_, length @ ..] = self.head;
                self.begin(u32::from_be_bytes(length) as usize);
            }
        }
        if self.is_between() {
            self.clock = None;
            // What is whole is held already: room for it would come too late.
            self.waiting = None;
        } else if self.clock.is_none() {
            self.clock = Some(Box::pin(tokio::time::sleep_until(Instant::now() + self.arrivals.time_max)));
        }
    }

    /// A message of so many bytes begins; the one before it was whole.
    fn begin(&mut self, bytes: usize) {
        self.rest = bytes;
        (self.held, self.clock, self.waiting) = (None, None, None);
        if bytes > SMALL_BYTES_MAX {
            let (room, caller) = (self.arrivals.room.clone(), self.caller.clone());
            self.waiting = Some(Box::pin(async move { room.acquire(&caller, bytes).await }));
        }
    }

    /// Ready where the message took too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(clock) = &mut self.clock else { return Poll::Pending };
        clock
            .as_mut()
            .poll(context)
            .map(|()| timed_out("a message did not come whole", self.arrivals.time_max))
    }
}

impl http_body::Body for ArrivingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_between() {
            // Whoever asks for more has taken what was whole.
            self.held = None;
        }
        if let Poll::Ready(late) = self.poll_late(context) {
            return Poll::Ready(Some(Err(late)));
        }
        if let Some(waiting) = &mut self.waiting {
            let Poll::Ready(room) = waiting.as_mut().poll(context) else { return Poll::Pending };
            (self.held, self.waiting) = (room, None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.note(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::sync::mpsc;
    use tokio_stream::Stream as _;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    struct Sent(UnboundedReceiverStream<Vec<u8>>);

    impl http_body::Body for Sent {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let polled = Pin::new(&mut self.0).poll_next(context);
            polled.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes.into()))))
        }
    }

    fn sent(arrivals: &Arrivals) -> (mpsc::UnboundedSender<Vec<u8>>, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, arrivals.body("", Body::new(Sent(UnboundedReceiverStream::new(receiver)))))
    }

    fn message(bytes: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend((bytes as u32).to_be_bytes());
        message.resize(HEAD_BYTES + bytes, 7);
        message
    }

    /// Bytes of the next frame, an error, or nothing yet.
    fn next(body: &mut Body) -> Option<Result<usize, Status>> {
        let mut context = Context::from_waker(Waker::noop());
        match http_body::Body::poll_frame(Pin::new(body), &mut context) {
            Poll::Pending => None,
            Poll::Ready(frame) => {
                frame.map(|frame| frame.map(|frame| frame.data_ref().map_or(0, Bytes::len)))
            }
        }
    }

    fn arrivals(mib: u64) -> Arrivals {
        Arrivals { room: Inflight::new(mib << 20), time_max: Duration::from_mins(1) }
    }

    #[tokio::test]
    async fn large_messages_wait_for_room_until_those_before_are_taken() {
        let arrivals = arrivals(4);
        let (first, mut one) = sent(&arrivals);
        let (second, mut two) = sent(&arrivals);
        let large = message(2 << 20);
        let (begin, rest) = large.split_at(100);
        for sender in [&first, &second] {
            sender.send(begin.to_vec()).unwrap();
            sender.send(rest.to_vec()).unwrap();
        }
        assert!(matches!(next(&mut one), Some(Ok(100))));
        assert!(matches!(next(&mut two), Some(Ok(100))));
        assert!(matches!(next(&mut one), Some(Ok(bytes)) if bytes == rest.len()));
        // A caller has three quarters of the room, so that two of these don't fit. What is whole holds its room.
        assert!(next(&mut two).is_none());
        // Small ones go on.
        let (third, mut three) = sent(&arrivals);
        third.send(message(1000)).unwrap();
        assert!(matches!(next(&mut three), Some(Ok(1005))));
        assert!(next(&mut two).is_none());
        // Asked for more, the first one was taken.
        assert!(next(&mut one).is_none());
        assert!(matches!(next(&mut two), Some(Ok(bytes)) if bytes == rest.len()));
        drop(two);
        assert_eq!(arrivals.room.bytes(), 0);
    }

    #[tokio::test]
    async fn a_message_has_a_time_to_become_whole() {
        let arrivals = Arrivals { time_max: Duration::ZERO, ..arrivals(4) };
        let (sender, mut body) = sent(&arrivals);
        // Between messages it may be silent for as long as it likes.
        for _ in 0..2 {
            sender.send(message(10)).unwrap();
            assert!(matches!(next(&mut body), Some(Ok(15))));
            assert!(next(&mut body).is_none());
        }
        for part in [&message(10)[..3], &message(1000)[..100]] {
            let (sender, mut body) = sent(&arrivals);
            sender.send(part.to_vec()).unwrap();
            assert!(matches!(next(&mut body), Some(Ok(bytes)) if bytes == part.len()));
            let late =
                std::future::poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut body), context));
            let late = late.await.unwrap().unwrap_err();
            assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
        }
    }

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let messages = [message(10), message(0), message(SMALL_BYTES_MAX + 1), message(3)];
        let ends: Vec<usize> = messages
            .iter()
            .scan(0, |end, message| {
                *end += message.len();
                Some(*end)
            })
            .collect();
        let bytes = messages.concat();
        for size in [1, 3, 5, 7, 1000, bytes.len()] {
            let mut body = arrivals(4).arriving("", Body::empty());
            let mut at = 0;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _entered = runtime.enter();
            for part in bytes.chunks(size) {
                body.note(part);
                at += part.len();
                assert_eq!(body.is_between(), ends.contains(&at), "{at} by {size}");
                assert_eq!(body.clock.is_none(), ends.contains(&at), "{at} by {size}");
            }
        }
    }
}
