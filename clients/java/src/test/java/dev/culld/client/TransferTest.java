package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.rpc.ErrorInfo;
import dev.culld.v1.Collection;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.ExportCollectionRequest;
import dev.culld.v1.ExportCollectionResponse;
import dev.culld.v1.ImportCollectionRequest;
import dev.culld.v1.ImportCollectionResponse;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransferTest {
  private static final Collection CARS = Collection.newBuilder().setName("cars").build();

  @TempDir private Path folder;

  /** Exports and imports as a test says. */
  private static final class Service extends CollectionServiceGrpc.CollectionServiceImplBase {
    final List<ExportCollectionRequest> exports = new CopyOnWriteArrayList<>();
    final AtomicInteger imports = new AtomicInteger();
    final CountDownLatch cancelled = new CountDownLatch(1);
    /** Given the number of the call. */
    BiConsumer<Integer, StreamObserver<ExportCollectionResponse>> export;
    /** Given each message, and null at their end. */
    BiConsumer<ImportCollectionRequest, ServerCallStreamObserver<ImportCollectionResponse>> message;
    /** Whether no message is asked for after the header. */
    boolean holds;

    @Override
    public void exportCollection(ExportCollectionRequest request, StreamObserver<ExportCollectionResponse> answers) {
      ((ServerCallStreamObserver<ExportCollectionResponse>) answers).setOnCancelHandler(cancelled::countDown);
      exports.add(request);
      export.accept(exports.size(), answers);
    }

    @Override
    public StreamObserver<ImportCollectionRequest> importCollection(StreamObserver<ImportCollectionResponse> answers) {
      imports.incrementAndGet();
      var call = (ServerCallStreamObserver<ImportCollectionResponse>) answers;
      call.setOnCancelHandler(cancelled::countDown);
      if (holds) {
        call.disableAutoRequest();
        call.request(1);
      }
      return new StreamObserver<>() {
        @Override
        public void onNext(ImportCollectionRequest request) {
          message.accept(request, call);
        }

        @Override
        public void onError(Throwable gone) {}

        @Override
        public void onCompleted() {
          message.accept(null, call);
        }
      };
    }
  }

  private interface Work {
    void with(Collections collections) throws Exception;
  }

  private static void run(Service service, Work work) throws Exception {
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client().withCollection("cars")) {
      work.with(client.collections());
    }
  }

  private static byte[] random(int size) {
    byte[] bytes = new byte[size];
    new Random(1).nextBytes(bytes);
    return bytes;
  }

  private static ExportCollectionResponse piece(byte[] bytes, int from, int to) {
    return ExportCollectionResponse.newBuilder().setData(ByteString.copyFrom(bytes, from, to - from)).build();
  }

  /** An export of these bytes, in three pieces. */
  private static Service exporting(byte[] bytes) {
    Service service = new Service();
    service.export =
        (call, answers) -> {
          answers.onNext(piece(bytes, 0, 1));
          answers.onNext(piece(bytes, 1, 1 << 20));
          answers.onNext(piece(bytes, 1 << 20, bytes.length));
          answers.onCompleted();
        };
    return service;
  }

  private List<String> files() throws IOException {
    try (var listed = Files.list(folder)) {
      return listed.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  /** Zeros without end, counted. */
  private static final class Endless extends InputStream {
    long read;

    @Override
    public int read() {
      read += 1;
      return 0;
    }

    @Override
    public int read(byte[] into, int from, int count) {
      Arrays.fill(into, from, from + count, (byte) 0);
      read += count;
      return count;
    }
  }

  @Test
  void anExportIsWhatWasStreamed() throws Exception {
    byte[] bytes = random(1_500_000);
    Service service = exporting(bytes);
    Path file = folder.resolve("cars.tar");
    Files.writeString(file, "of last week");
    run(
        service,
        collections -> {
          assertEquals(bytes.length, collections.exportTo(file));
          ByteArrayOutputStream out = new ByteArrayOutputStream();
          assertEquals(bytes.length, collections.exportTo(out));
          assertArrayEquals(bytes, out.toByteArray());
        });
    assertArrayEquals(bytes, Files.readAllBytes(file));
    assertEquals(List.of("cars.tar"), files());
    assertEquals("cars", service.exports.get(0).getCollection());
  }

  @Test
  void anExportThatFailsLeavesWhatWasThere() throws Exception {
    Service service = new Service();
    Path file = folder.resolve("cars.tar");
    Files.writeString(file, "of last week");
    Consumer<Class<? extends CulldException>> failing =
        code -> {
          try {
            run(service, collections -> assertThrows(code, () -> collections.exportTo(file)));
            assertEquals("of last week", Files.readString(file));
            assertEquals(List.of("cars.tar"), files());
          } catch (Exception other) {
            throw new AssertionError(other);
          }
        };
    for (Status status : List.of(Status.ABORTED, Status.UNAVAILABLE)) {
      service.export =
          (call, answers) -> {
            answers.onNext(piece(random(10), 0, 10));
            answers.onError(status.asRuntimeException());
          };
      failing.accept(CulldException.of(status.asRuntimeException()).getClass());
    }
    // One that breaks off isn't taken up again; one that says that it went well, and gave nothing, lies.
    assertEquals(2, service.exports.size());
    service.export = (call, answers) -> answers.onCompleted();
    failing.accept(ProtocolException.class);
  }

  @Test
  void anExportThatIsRefusedForNowIsTriedAgain() throws Exception {
    byte[] bytes = random(1_500_000);
    Service service = exporting(bytes);
    var honest = service.export;
    service.export =
        (call, answers) -> {
          if (call < 3) {
            answers.onError(Status.UNAVAILABLE.asRuntimeException());
          } else {
            honest.accept(call, answers);
          }
        };
    run(service, collections -> assertEquals(bytes.length, collections.exportTo(folder.resolve("cars.tar"))));
    assertEquals(3, service.exports.size());
  }

  @Test
  void whatCannotBeWrittenEndsTheExport() throws Exception {
    Service service = new Service();
    service.export = (call, answers) -> answers.onNext(piece(random(10), 0, 10));
    IOException full = new IOException("the disk is full");
    OutputStream out =
        new OutputStream() {
          @Override
          public void write(int one) throws IOException {
            throw full;
          }
        };
    run(
        service,
        collections -> {
          assertSame(full, assertThrows(IOException.class, () -> collections.exportTo(out)));
          service.cancelled.await();
          assertThrows(FileAlreadyExistsException.class, () -> collections.exportTo(folder));
          Path nowhere = folder.resolve("no/such/cars.tar");
          assertThrows(NoSuchFileException.class, () -> collections.exportTo(nowhere));
        });
    assertEquals(1, service.exports.size());
    assertEquals(List.of(), files());
  }

  @Test
  void anExportCanBeInterrupted() throws Exception {
    Service service = new Service();
    Thread here = Thread.currentThread();
    service.export =
        (call, answers) -> {
          answers.onNext(piece(random(10), 0, 10));
          here.interrupt();
        };
    run(
        service,
        collections -> {
          assertThrows(CancelledException.class, () -> collections.exportTo(folder.resolve("cars.tar")));
          assertTrue(Thread.interrupted());
          service.cancelled.await();
        });
    assertEquals(List.of(), files());
  }

  @Test
  void anImportSendsAHeaderThenPieces() throws Exception {
    // The second length is a whole number of pieces.
    for (int size : List.of(2_500_000, 2 << 20, 0)) {
      byte[] bytes = random(size);
      Path file = folder.resolve("cars.tar");
      Files.write(file, bytes);
      Service service = new Service();
      List<String> ids = new CopyOnWriteArrayList<>();
      ByteArrayOutputStream received = new ByteArrayOutputStream();
      service.message =
          (message, answers) -> {
            var told = ImportCollectionResponse.newBuilder();
            if (message == null) {
              answers.onNext(told.setImages(24).setEvents(3).setCollection(CARS).build());
              answers.onCompleted();
            } else if (message.hasHeader()) {
              assertEquals("cars", message.getHeader().getCollection());
              ids.add(message.getHeader().getRequestId());
            } else {
              assertTrue(message.getData().size() <= 1 << 20);
              received.writeBytes(message.getData().toByteArray());
              answers.onNext(told.setImages(1).build());
            }
          };
      List<ImportProgress> progress = new ArrayList<>();
      run(
          service,
          collections -> {
            var last = collections.importFrom(file, progress::add);
            assertEquals(24, last.getImages());
            assertEquals(CARS, last.getCollection());
            assertArrayEquals(bytes, received.toByteArray());
            assertEquals(last, collections.importFrom(new ByteArrayInputStream(bytes)));
          });
      assertEquals(new ImportProgress(size, 24, 3), progress.get(progress.size() - 1));
      assertEquals(2, ids.stream().filter(id -> !id.isEmpty()).distinct().count());
    }
  }

  @Test
  void theDaemonsOwnErrorComesOutWhilePiecesAreSent() throws Exception {
    var info = ErrorInfo.newBuilder().setReason("EXPORT_DAMAGED").build();
    var damaged =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.FAILED_PRECONDITION.value())
            .setMessage("why")
            .addDetails(Any.pack(info))
            .build();
    // At the header, and after a few pieces: whatever is on the way then.
    for (int after : List.of(0, 1, 5)) {
      Service service = new Service();
      AtomicInteger messages = new AtomicInteger();
      service.message =
          (message, answers) -> {
            if (messages.getAndIncrement() == after) {
              answers.onError(StatusProto.toStatusRuntimeException(damaged));
            }
          };
      run(
          service,
          collections -> {
            var error =
                assertThrows(FailedPreconditionException.class, () -> collections.importFrom(new Endless()));
            assertEquals("EXPORT_DAMAGED", error.reason());
          });
      assertEquals(1, service.imports.get());
    }
  }

  @Test
  void anImportIsNotBegunAgain() throws Exception {
    Service service = new Service();
    service.message =
        (message, answers) -> {
          if (message != null && message.hasHeader()) {
            answers.onError(Status.UNAVAILABLE.asRuntimeException());
          }
        };
    run(
        service,
        collections -> assertThrows(UnavailableException.class, () -> collections.importFrom(new Endless())));
    assertEquals(1, service.imports.get());
  }

  @Test
  void noMoreIsReadThanTheDaemonTakesUntilTheDeadline() throws Exception {
    Service service = new Service();
    service.holds = true;
    service.message = (message, answers) -> {};
    Endless endless = new Endless();
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client()) {
      var collections = client.withDeadline(Duration.ofSeconds(1)).collections();
      assertThrows(DeadlineExceededException.class, () -> collections.importFrom(endless));
    }
    // Beside what is in hand, what the connection's windows take.
    assertTrue(endless.read <= 4L << 20, endless.read + " bytes");
  }

  @Test
  void anImportCanBeInterrupted() throws Exception {
    Service service = new Service();
    service.holds = true;
    Thread here = Thread.currentThread();
    service.message = (message, answers) -> here.interrupt();
    run(
        service,
        collections -> {
          assertThrows(CancelledException.class, () -> collections.importFrom(new Endless()));
          assertTrue(Thread.interrupted());
          service.cancelled.await();
        });
  }

  @Test
  void whatCannotBeReadOrToldEndsTheImport() throws Exception {
    IOException torn = new IOException("torn");
    InputStream tearing =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw torn;
          }
        };
    Service unread = new Service();
    unread.message = (message, answers) -> assertFalse(message == null, "it can't end well");
    run(
        unread,
        collections -> {
          assertSame(torn, assertThrows(IOException.class, () -> collections.importFrom(tearing)));
          unread.cancelled.await();
          Path missing = folder.resolve("no-such.tar");
          assertThrows(NoSuchFileException.class, () -> collections.importFrom(missing));
        });
    assertEquals(1, unread.imports.get());
    Service untold = new Service();
    untold.message = (message, answers) -> {};
    IllegalStateException own = new IllegalStateException("of who is told");
    Consumer<ImportProgress> failing =
        progress -> {
          throw own;
        };
    run(
        untold,
        collections -> {
          var thrown =
              assertThrows(IllegalStateException.class, () -> collections.importFrom(new Endless(), failing));
          assertSame(own, thrown);
          untold.cancelled.await();
        });
  }

  @Test
  void anImportThatEndsWithoutItsCollectionIsALie() throws Exception {
    Service service = new Service();
    service.message =
        (message, answers) -> {
          if (message == null) {
            answers.onNext(ImportCollectionResponse.newBuilder().setImages(24).build());
            answers.onCompleted();
          }
        };
    var source = new ByteArrayInputStream(random(10));
    run(service, collections -> assertThrows(ProtocolException.class, () -> collections.importFrom(source)));
  }
}
