//! Streams of whole collections, out and in: a thread works, at the pace of whoever is slower.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::engine::{EngineError, RequestKey};
use crate::proto;
use crate::proto::import_collection_request::Message;

use super::status::{invalid, on_collection, status, timed_out};
use super::{Shared, caller, convert};

/// Exports and imports at a time at most, over all callers.
pub(super) const TRANSFERS_MAX: usize = 4;
/// Bytes of a piece at most.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Pieces that wait for who is slower at most.
const PIECES_WAITING_MAX: usize = 4;
/// What a caller who met too many transfers waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// An export as the caller reads it.
pub(super) type Pieces = ReceiverStream<Piece>;
type Piece = Result<proto::ExportCollectionResponse, Status>;
/// The answers of an import.
pub(super) type Answers = ReceiverStream<Answer>;
type Answer = Result<proto::ImportCollectionResponse, Status>;

fn turn(shared: &Shared) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(&shared.transfers).try_acquire_owned().map_err(|_| {
        let message = format!("{TRANSFERS_MAX} collections are exported or imported, which is the limit");
        status(EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) })
    })
}

/// Starts an export.
pub(super) async fn export(
    shared: &Arc<Shared>,
    request: proto::ExportCollectionRequest,
) -> Result<Pieces, Status> {
    caller::reach(&request.collection)?;
    let turn = turn(shared)?;
    let collection = on_collection(&shared.engine, request.collection, Ok).await?;
    let unread_time_max = shared.config.request_time_max;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let mut pieces = PieceWriter {
            sender: sender.clone(),
            piece: Vec::new(),
            unread_time_max,
            is_unread: false,
            runtime: Handle::current(),
        };
        let exported = collection.export(&mut pieces);
        drop(turn);
        let error = match exported {
            Ok(()) => return,
            Err(_) if pieces.is_unread => timed_out("no piece was read", unread_time_max),
            Err(error) => status(error),
        };
        // The caller may be gone, and then nobody wants to know.
        drop(pieces.runtime.block_on(tokio::time::timeout(unread_time_max, sender.send(Err(error)))));
    });
    Ok(ReceiverStream::new(receiver))
}

/// Sends what is written, piece by piece.
struct PieceWriter {
    sender: mpsc::Sender<Piece>,
    piece: Vec<u8>,
    /// The longest wait for the reader to take a piece.
    unread_time_max: Duration,
    /// Whether it took longer.
    is_unread: bool,
    runtime: Handle,
}

impl PieceWriter {
    fn send(&mut self) -> io::Result<()> {
        let data = std::mem::take(&mut self.piece);
        let sent = self.sender.send(Ok(proto::ExportCollectionResponse { data }));
        match self.runtime.block_on(async { tokio::time::timeout(self.unread_time_max, sent).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => {
                self.is_unread = true;
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(PIECE_BYTES_MAX - self.piece.len());
        self.piece.extend_from_slice(&bytes[..fits]);
        if self.piece.len() == PIECE_BYTES_MAX {
            self.send()?;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Starts an import.
pub(super) fn import(
    shared: &Arc<Shared>,
    messages: Streaming<proto::ImportCollectionRequest>,
) -> Result<Answers, Status> {
    let turn = turn(shared)?;
    let (answers, receiver) = mpsc::channel(1);
    let shared = Arc::clone(shared);
    let work = async move {
        if let Err(error) = take(&shared, messages, &answers, turn).await {
            // The caller may be gone, and then nobody wants to know.
            drop(answers.send(Err(error)).await);
        }
    };
    tokio::spawn(caller::on_behalf_of(caller::current(), work));
    Ok(ReceiverStream::new(receiver))
}

async fn take(
    shared: &Arc<Shared>,
    mut messages: Streaming<proto::ImportCollectionRequest>,
    answers: &mpsc::Sender<Answer>,
    turn: OwnedSemaphorePermit,
) -> Result<(), Status> {
    let limit = shared.config.request_time_max;
    let header = match next(&mut messages, limit).await? {
        Some(Message::Header(header)) => header,
        Some(Message::Data(_)) | None => {
            return Err(invalid("message", "the first message must be a header"));
        }
    };
    caller::reach(&header.collection)?;
    let key = RequestKey::of("ImportCollection", &header.request_id, &header.encode_to_vec());
    let key = key.map_err(status)?;
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let (engine, told) = (Arc::clone(&shared.engine), answers.clone());
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let bytes = PieceReader { receiver, piece: Vec::new(), at: 0 };
        let mut tell = |images, events| {
            let answer = proto::ImportCollectionResponse { images, events, collection: None };
            // Who does not read how far it is hears of it later.
            !matches!(told.try_send(Ok(answer)), Err(mpsc::error::TrySendError::Closed(_)))
        };
        let imported = engine.import_collection(&header.collection, key.as_ref(), bytes, &mut tell)?;
        let collection = engine.collection(&imported.name)?;
        Ok((imported, convert::collection(&collection)))
    });
    let broken = hand_over(shared, &mut messages, pieces, limit).await.err();
    let done = work.await.map_err(|_| status(EngineError::Internal("an import broke off".to_owned())))?;
    // What could not be read is why it failed.
    let (imported, collection) = done.map_err(|error| broken.unwrap_or_else(|| status(error)))?;
    let (images, events) = (imported.images, imported.events);
    let answer = proto::ImportCollectionResponse { images, events, collection: Some(collection) };
    drop(answers.send(Ok(answer)).await);
    Ok(())
}

/// Hands pieces to the one who reads them, until there are no more, or nobody reads any more.
async fn hand_over(
    shared: &Shared,
    messages: &mut Streaming<proto::ImportCollectionRequest>,
    pieces: mpsc::Sender<io::Result<Vec<u8>>>,
    limit: Duration,
) -> Result<(), Status> {
    let mut stopping = shared.stopping.clone();
    loop {
        let message = tokio::select! {
            message = next(messages, limit) => message,
            () = pieces.closed() => return Ok(()),
            _ = super::stopped(&mut stopping) => Err(status(EngineError::Stopping)),
        };
        let piece = match message {
            Ok(Some(Message::Data(data))) if data.len() <= PIECE_BYTES_MAX => Ok(data),
            Ok(Some(_)) => {
                Err(invalid("message", "every message after the first must be a piece of 1 MiB at most"))
            }
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        let (piece, broken) = match piece {
            Ok(piece) => (Ok(piece), None),
            Err(error) => (Err(io::ErrorKind::BrokenPipe.into()), Some(error)),
        };
        let taken = pieces.send(piece).await;
        match broken {
            Some(error) => return Err(error),
            None if taken.is_err() => return Ok(()),
            None => {}
        }
    }
}

async fn next(
    messages: &mut Streaming<proto::ImportCollectionRequest>,
    limit: Duration,
) -> Result<Option<Message>, Status> {
    let message = tokio::time::timeout(limit, messages.next()).await;
    let message = message.map_err(|_| timed_out("no piece came", limit))?;
    match message.transpose()? {
        None => Ok(None),
        Some(request) => request.message.map(Some).ok_or_else(|| invalid("message", "is empty")),
    }
}

/// Reads pieces as they come.
struct PieceReader {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            (self.piece, self.at) = (piece?, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
