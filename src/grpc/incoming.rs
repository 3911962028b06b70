//! Connections as they come. Where the process has no file left for another, that connection waits: it is no reason to
//! stop serving those that are there.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};

/// How long no connection is taken once one could not be.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a listener, for ever.
pub(super) fn connections(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    let taken = TcpListenerStream::new(listener).then(|taken| async {
        if let Err(error) = &taken {
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(PAUSE).await;
        }
        taken
    });
    taken.filter_map(|taken| taken.ok().map(Ok))
}
