package dev.culld.client;

import dev.culld.v1.AddCause;
import dev.culld.v1.AddImagesHeader;
import dev.culld.v1.AddImagesRequest;
import dev.culld.v1.AddImagesResponse;
import dev.culld.v1.AddOutcome;
import dev.culld.v1.AddStatus;
import dev.culld.v1.ImageServiceGrpc;
import dev.culld.v1.NewImage;
import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Adds images over a stream, with one result for each. A thread reads images while there is room; they are sent as the
 * connection takes them, and held until they have their outcome. Where the stream breaks, another one is opened after
 * a while, and all that are held are sent again.
 */
final class AddStream implements Iterator<AddResult>, AutoCloseable {
  private final Wire wire;
  private final Iterator<? extends ImageSource> sources;
  private final Runnable closeSources;
  private final AddOptions options;
  private final long imageBytesMax;
  private final Deadline deadline;
  private final Thread reader;

  private final ReentrantLock lock = new ReentrantLock();
  /** Something below has changed. */
  private final Condition changed = lock.newCondition();
  /** Images without an outcome, in the order they were read. No two of one key: outcomes tell them apart by it. */
  private final Map<String, Held> held = new LinkedHashMap<>();
  /** Those of them that the open stream was not given yet. */
  private Deque<Held> outbox = new ArrayDeque<>();
  private final Deque<Taken> results = new ArrayDeque<>();
  private long heldBytes;
  private boolean allRead;
  /** The open stream; null between two of them, and after the last one. */
  private ClientCall<AddImagesRequest, AddImagesResponse> call;
  private boolean halfClosed;
  private int failures;
  private long resumed;
  private boolean finished;
  private RuntimeException failure;
  /** How far the results that were taken are; only the thread that takes them touches it. */
  private AddProgress progress = AddProgress.NONE;

  /** An image that was read, and has no outcome. */
  private static final class Held {
    final ImageSource source;
    final NewImage image;
    /** Whether the open stream was given it. */
    boolean sent;

    Held(ImageSource source, NewImage image) {
      this.source = source;
      this.image = image;
    }

    long bytes() {
      return image.getData().size();
    }
  }

  /** A result that waits to be taken. */
  private record Taken(AddResult result, long bytes) {}

  AddStream(
      Wire wire,
      Iterator<? extends ImageSource> sources,
      Runnable closeSources,
      AddOptions options,
      long imageBytesMax) {
    this.wire = wire;
    this.sources = sources;
    this.closeSources = closeSources;
    this.options = options;
    this.imageBytesMax = imageBytesMax;
    this.deadline = Wire.deadline(wire.settings().streamDeadline());
    this.reader = new Thread(this::readAll, "culld-add-images");
    reader.setDaemon(true);
  }

  AddStream start() {
    lock.lock();
    try {
      open();
    } finally {
      lock.unlock();
    }
    reader.start();
    return this;
  }

  // Who takes the results.

  @Override
  public boolean hasNext() {
    lock.lock();
    try {
      while (results.isEmpty() && failure == null && !finished) {
        changed.await();
      }
      if (results.isEmpty() && failure != null) {
        throw failure;
      }
      return !results.isEmpty();
    } catch (InterruptedException interrupted) {
      close();
      Thread.currentThread().interrupt();
      throw Wire.interrupted();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public AddResult next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    Taken taken;
    lock.lock();
    try {
      taken = results.remove();
      progress = progress.plus(taken.result().outcome().getStatus(), taken.bytes(), resumed);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    options.progress().accept(progress);
    return taken.result();
  }

  AddProgress progress() {
    return progress;
  }

  /** Ends the stream; whoever waits for a result is told that it was cancelled. */
  @Override
  public void close() {
    fail(CulldException.of(Status.CANCELLED.withDescription("closed by the caller"), null, null));
  }

  // Who reads the images.

  private void readAll() {
    try {
      while (awaitRoom() && sources.hasNext()) {
        read(sources.next());
      }
      lock.lock();
      try {
        allRead = true;
        pump();
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    } catch (InterruptedException stopped) {
      // Who did it has said why; the thread ends here.
    } catch (RuntimeException failed) {
      // The source's own, which is for its owner to see.
      fail(failed);
    } finally {
      // Closing must not be told that it is interrupted.
      Thread.interrupted();
      closeSources.run();
    }
  }

  /** Waits until one more image may be under way; false where no more is wanted. */
  private boolean awaitRoom() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (failure == null && held.size() + results.size() >= options.imagesMax()) {
        changed.await();
      }
      return failure == null;
    } finally {
      lock.unlock();
    }
  }

  private void read(ImageSource source) throws InterruptedException {
    NewImage image;
    try {
      if (source.sizeBytes() > imageBytesMax) {
        refuse(source, AddStatus.ADD_STATUS_REJECTED, AddCause.ADD_CAUSE_TOO_LARGE, null);
        return;
      }
      image = source.read();
    } catch (IOException failed) {
      refuse(source, AddStatus.ADD_STATUS_FAILED, AddCause.ADD_CAUSE_UNSPECIFIED, failed);
      return;
    }
    if (image.getData().size() > imageBytesMax) {
      refuse(source, AddStatus.ADD_STATUS_REJECTED, AddCause.ADD_CAUSE_TOO_LARGE, null);
      return;
    }
    if (image.getKey().isEmpty()) {
      // What the daemon would call it; so its outcome can be told from others.
      image = image.toBuilder().setKey(ImageSource.imageId(image.getData().toByteArray())).build();
    }
    hold(new Held(source, image));
  }

  private void hold(Held image) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (failure == null && (held.containsKey(image.image.getKey()) || !fits(image))) {
        changed.await();
      }
      if (failure == null) {
        held.put(image.image.getKey(), image);
        heldBytes += image.bytes();
        outbox.add(image);
        pump();
      }
    } finally {
      lock.unlock();
    }
  }

  private boolean fits(Held image) {
    return held.isEmpty() || heldBytes + image.bytes() <= options.bytesMax();
  }

  /** The result of an image that is not sent. */
  private void refuse(ImageSource source, AddStatus status, AddCause cause, IOException error) {
    String detail = error == null ? "it has more than " + imageBytesMax + " bytes" : error.toString();
    var outcome =
        AddOutcome.newBuilder().setKey(source.key()).setStatus(status).setCause(cause).setDetail(detail).build();
    lock.lock();
    try {
      results.add(new Taken(new AddResult(source, outcome, Optional.ofNullable(error)), 0));
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  // The streams. All below holds the lock.

  private void open() {
    if (failure != null) {
      return;
    }
    try {
      call = wire.newCall(ImageServiceGrpc.getAddImagesMethod(), deadline);
      halfClosed = false;
      outbox = new ArrayDeque<>(held.values());
      outbox.forEach(image -> image.sent = false);
      call.start(new Outcomes(), new Metadata());
      // As many as there are images: those are bounded.
      call.request(Integer.MAX_VALUE);
      var header =
          AddImagesHeader.newBuilder().setCollection(wire.settings().collection()).addAllTags(options.tags());
      call.sendMessage(AddImagesRequest.newBuilder().setHeader(header).build());
      pump();
    } catch (RuntimeException failed) {
      fail(CulldException.of(failed));
    }
  }

  /** Sends what the connection takes. */
  private void pump() {
    if (call == null || halfClosed) {
      return;
    }
    while (!outbox.isEmpty() && call.isReady()) {
      Held next = outbox.remove();
      next.sent = true;
      call.sendMessage(AddImagesRequest.newBuilder().setImage(next.image).build());
    }
    if (allRead && outbox.isEmpty()) {
      call.halfClose();
      halfClosed = true;
    }
  }

  private void take(AddOutcome outcome) {
    Held image = held.get(outcome.getKey());
    if (image == null || !image.sent) {
      fail(new ProtocolException("an outcome for an image that was not sent: " + outcome.getKey()));
      return;
    }
    held.remove(outcome.getKey());
    heldBytes -= image.bytes();
    failures = 0;
    results.add(new Taken(new AddResult(image.source, outcome, Optional.empty()), image.bytes()));
    changed.signalAll();
  }

  private void ended(Status status, Metadata trailers) {
    call = null;
    if (failure != null) {
      return;
    }
    if (status.isOk()) {
      if (allRead && held.isEmpty()) {
        finished = true;
        changed.signalAll();
      } else {
        fail(new ProtocolException("the stream ended without an outcome for " + held.size() + " images"));
      }
      return;
    }
    CulldException error = CulldException.of(status, trailers, null);
    failures += 1;
    Optional<Duration> wait = wire.settings().retry().delay(error, failures).filter(this::isBeforeDeadline);
    if (wait.isEmpty()) {
      fail(error);
      return;
    }
    try {
      wire.timer().schedule(this::resume, wait.get().toNanos(), TimeUnit.NANOSECONDS);
    } catch (RuntimeException closed) {
      fail(error);
    }
  }

  private boolean isBeforeDeadline(Duration wait) {
    return deadline == null || deadline.timeRemaining(TimeUnit.NANOSECONDS) > wait.toNanos();
  }

  private void resume() {
    wire.wake();
    lock.lock();
    try {
      resumed += 1;
      open();
    } finally {
      lock.unlock();
    }
  }

  private void fail(RuntimeException error) {
    lock.lock();
    try {
      if (failure != null || finished) {
        return;
      }
      failure = error;
      if (call != null) {
        call.cancel("the images are not wanted any more", null);
      }
      held.clear();
      outbox.clear();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    reader.interrupt();
  }

  /** What the daemon says on one stream. */
  private final class Outcomes extends ClientCall.Listener<AddImagesResponse> {
    @Override
    public void onReady() {
      locked(AddStream.this::pump);
    }

    @Override
    public void onMessage(AddImagesResponse message) {
      locked(
          () -> {
            if (failure == null) {
              take(message.getOutcome());
            }
          });
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      locked(() -> ended(status, trailers));
    }

    private void locked(Runnable work) {
      lock.lock();
      try {
        work.run();
      } finally {
        lock.unlock();
      }
    }
  }
}
