package dev.culld.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.ImportCollectionHeader;
import dev.culld.v1.ImportCollectionRequest;
import dev.culld.v1.ImportCollectionResponse;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * Sends an export to the daemon, on the thread that asks for it: a piece is read once the connection takes it, so that
 * one is in hand at most and another under way. The daemon may end it at any time, and says why.
 */
final class CollectionImport {
  /** Bytes of a piece: the most that the daemon takes. */
  static final int PIECE_BYTES = 1 << 20;

  private final Wire wire;
  private final InputStream source;
  private final Consumer<ImportProgress> progress;
  private final ClientCall<ImportCollectionRequest, ImportCollectionResponse> call;
  /** Only the thread that sends touches these two. */
  private long bytes;
  private ImportProgress told = ImportProgress.NONE;

  private final ReentrantLock lock = new ReentrantLock();
  /** Something below has changed, or the connection takes more. */
  private final Condition changed = lock.newCondition();
  /** What the daemon said last. */
  private ImportCollectionResponse answer = ImportCollectionResponse.getDefaultInstance();
  /** How the call ended; null until then. */
  private Status end;
  private Metadata trailers;

  private CollectionImport(Wire wire, InputStream source, Consumer<ImportProgress> progress) {
    this.wire = wire;
    this.source = source;
    this.progress = progress;
    this.call =
        wire.newCall(
            CollectionServiceGrpc.getImportCollectionMethod(), Wire.deadline(wire.settings().streamDeadline()));
  }

  static ImportCollectionResponse read(Wire wire, Path file, Consumer<ImportProgress> progress) throws IOException {
    try (InputStream source = Files.newInputStream(file)) {
      return read(wire, source, progress);
    } catch (ClosedByInterruptException interrupted) {
      throw Wire.interrupted();
    }
  }

  static ImportCollectionResponse read(Wire wire, InputStream source, Consumer<ImportProgress> progress)
      throws IOException {
    return new CollectionImport(wire, source, progress).run();
  }

  private ImportCollectionResponse run() throws IOException {
    // There is one try, so it does not wait for the time that failures before it have set.
    wire.wake();
    try {
      call.start(new Answers(), new Metadata());
      call.request(1);
      var header = wire.complete(ImportCollectionHeader.getDefaultInstance());
      call.sendMessage(ImportCollectionRequest.newBuilder().setHeader(header).build());
      boolean allSent = false;
      while (!awaitEnd(allSent)) {
        if (!allSent && call.isReady()) {
          allSent = !sendPiece();
        }
      }
      return result();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw Wire.interrupted();
    } finally {
      // No effect on a call that has ended.
      call.cancel("the import was given up", null);
    }
  }

  /** Waits for something to do or to tell, and tells it; answers whether the call has ended. */
  private boolean awaitEnd(boolean allSent) throws InterruptedException {
    ImportProgress now;
    boolean ended;
    lock.lockInterruptibly();
    try {
      while (end == null && reached().equals(told) && (allSent || !call.isReady())) {
        changed.await();
      }
      now = reached();
      ended = end != null;
    } finally {
      lock.unlock();
    }
    if (!now.equals(told)) {
      told = now;
      progress.accept(now);
    }
    return ended;
  }

  private ImportProgress reached() {
    return new ImportProgress(bytes, answer.getImages(), answer.getEvents());
  }

  /** Sends the next piece; false after the last one. */
  private boolean sendPiece() throws IOException {
    byte[] piece = new byte[PIECE_BYTES];
    int count = source.readNBytes(piece, 0, piece.length);
    if (count > 0) {
      // Nobody else has the array.
      ByteString data = UnsafeByteOperations.unsafeWrap(piece, 0, count);
      call.sendMessage(ImportCollectionRequest.newBuilder().setData(data).build());
      bytes += count;
    }
    if (count < piece.length) {
      call.halfClose();
      return false;
    }
    return true;
  }

  /** What came of it; the call has ended. */
  private ImportCollectionResponse result() {
    lock.lock();
    try {
      if (!end.isOk()) {
        throw CulldException.of(end, trailers, null);
      }
      if (!answer.hasCollection()) {
        throw new ProtocolException("an import that ended without its collection");
      }
      return answer;
    } finally {
      lock.unlock();
    }
  }

  /** What the daemon says. */
  private final class Answers extends ClientCall.Listener<ImportCollectionResponse> {
    @Override
    public void onReady() {
      locked(() -> {});
    }

    @Override
    public void onMessage(ImportCollectionResponse message) {
      locked(() -> answer = message);
      call.request(1);
    }

    @Override
    public void onClose(Status status, Metadata last) {
      locked(
          () -> {
            end = status;
            trailers = last;
          });
    }

    private void locked(Runnable change) {
      lock.lock();
      try {
        change.run();
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }
}
