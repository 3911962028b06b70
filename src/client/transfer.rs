//! Takes whole collections to files and back, piece by piece.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use crate::proto::import_collection_request::Message;
use crate::proto::{
    ExportCollectionResponse, ImportCollectionHeader, ImportCollectionRequest, ImportCollectionResponse,
};

/// Bytes of a piece; the most that the daemon takes.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces read and not yet sent at most.
const PIECES_WAITING_MAX: usize = 4;

/// Why a collection did not get to its file, or from it.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// What the daemon says, or that it is gone.
    #[error("{0}")]
    Call(Box<Status>),
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The import ended well, and yet without its collection.
    #[error("the daemon does not say what it made")]
    Incomplete,
}

impl From<Status> for TransferError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

fn named(path: &Path) -> impl FnOnce(io::Error) -> TransferError {
    move |source| TransferError::File { path: path.to_path_buf(), source }
}

/// Writes the pieces of an export to a file, beside its place first: it is there whole or not at all. `progress` is told
/// the bytes so far. Answers the bytes of the file.
///
/// # Errors
/// The daemon ends the stream, or the file can't be written.
pub async fn export(
    mut pieces: Streaming<ExportCollectionResponse>,
    path: &Path,
    progress: impl Fn(u64),
) -> Result<u64, TransferError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = File::create(&part).map_err(named(&part))?;
    let mut write = async || {
        let mut bytes = 0;
        while let Some(piece) = pieces.message().await? {
            file.write_all(&piece.data).map_err(named(&part))?;
            bytes += piece.data.len() as u64;
            progress(bytes);
        }
        file.sync_all().map_err(named(&part))?;
        std::fs::rename(&part, path).map_err(named(path))?;
        Ok(bytes)
    };
    let written = write().await;
    if written.is_err() {
        // What can't be removed has a name that says what it is, and no end.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Makes a collection of a file that [`export`] wrote. `open` starts the stream, such as
/// `async |requests| collections.import_collection(requests).await`; `progress` is told the bytes read so far. Answers
/// what was made.
///
/// # Errors
/// The daemon refuses the file or the collection's name, or is gone; the file can't be read.
pub async fn import(
    path: &Path,
    header: ImportCollectionHeader,
    open: impl AsyncFnOnce(
        ReceiverStream<ImportCollectionRequest>,
    ) -> Result<Response<Streaming<ImportCollectionResponse>>, Status>,
    progress: impl Fn(u64) + Send + 'static,
) -> Result<ImportCollectionResponse, TransferError> {
    let file = File::open(path).map_err(named(path))?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let reading = tokio::task::spawn_blocking(move || send(header, &file, &sender, progress));
    let answered = async {
        let mut answers = open(ReceiverStream::new(receiver)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if answer.collection.is_some() {
                return Ok(answer);
            }
        }
        Err(TransferError::Incomplete)
    };
    let answered = answered.await;
    let read = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(named(path))?;
    answered
}

/// Reads until there is no more, or nobody takes it: then the daemon said why.
fn send(
    header: ImportCollectionHeader,
    file: &File,
    sender: &mpsc::Sender<ImportCollectionRequest>,
    progress: impl Fn(u64),
) -> io::Result<()> {
    let mut bytes = 0;
    let mut message = Message::Header(header);
    loop {
        if sender.blocking_send(ImportCollectionRequest { message: Some(message) }).is_err() {
            return Ok(());
        }
        let mut data = Vec::with_capacity(PIECE_BYTES);
        let count = file.take(PIECE_BYTES as u64).read_to_end(&mut data)?;
        if count == 0 {
            return Ok(());
        }
        bytes += count as u64;
        progress(bytes);
        message = Message::Data(data);
    }
}
