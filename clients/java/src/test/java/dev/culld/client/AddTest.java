package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.culld.v1.AddCause;
import dev.culld.v1.AddImagesRequest;
import dev.culld.v1.AddImagesResponse;
import dev.culld.v1.AddOutcome;
import dev.culld.v1.AddStatus;
import dev.culld.v1.ImageServiceGrpc;
import dev.culld.v1.NewImage;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class AddTest {
  /** Answers each image, or does what a test says instead. */
  private static final class Service extends ImageServiceGrpc.ImageServiceImplBase {
    final Set<String> stored = ConcurrentHashMap.newKeySet();
    final AtomicInteger streams = new AtomicInteger();
    final BiConsumer<Integer, Stream1> image;

    Service(BiConsumer<Integer, Stream1> image) {
      this.image = image;
    }

    @Override
    public StreamObserver<AddImagesRequest> addImages(StreamObserver<AddImagesResponse> answers) {
      return new Stream1(streams.incrementAndGet(), this, answers);
    }
  }

  /** One stream of the fake. */
  private static final class Stream1 implements StreamObserver<AddImagesRequest> {
    final int number;
    final Service service;
    final StreamObserver<AddImagesResponse> answers;
    NewImage current;
    int images;
    boolean ended;

    Stream1(int number, Service service, StreamObserver<AddImagesResponse> answers) {
      this.number = number;
      this.service = service;
      this.answers = answers;
    }

    void answer(String key) {
      boolean isNew = service.stored.add(key);
      var status = isNew ? AddStatus.ADD_STATUS_ADDED : AddStatus.ADD_STATUS_ALREADY_PRESENT;
      var outcome = AddOutcome.newBuilder().setKey(key).setStatus(status);
      answers.onNext(AddImagesResponse.newBuilder().setOutcome(outcome).build());
    }

    void fail(Status status) {
      ended = true;
      answers.onError(status.asRuntimeException());
    }

    @Override
    public void onNext(AddImagesRequest request) {
      if (request.hasImage() && !ended) {
        current = request.getImage();
        service.image.accept(++images, this);
      }
    }

    @Override
    public void onError(Throwable gone) {}

    @Override
    public void onCompleted() {
      if (!ended) {
        answers.onCompleted();
      }
    }
  }

  private static final BiConsumer<Integer, Stream1> HONEST = (count, stream) -> stream.answer(stream.current.getKey());

  private static Stream<ImageSource> images(int count) {
    return IntStream.range(0, count).mapToObj(i -> ImageSource.of("k" + i, new byte[] {(byte) i}));
  }

  private static List<AddResult> add(Service service, Stream<ImageSource> images, AddOptions options)
      throws IOException {
    try (var daemon = new FakeDaemon(service, new FakeDaemon.Admin());
        var client = daemon.client();
        var results = client.images().add(images, options)) {
      return results.toList();
    }
  }

  private static Set<String> keys(List<AddResult> results) {
    Set<String> keys = new HashSet<>();
    results.forEach(result -> assertTrue(keys.add(result.key()), result.key() + " came twice"));
    return keys;
  }

  @Test
  void eachImageHasOneResultHoweverOftenTheStreamBreaks() throws IOException {
    Service service =
        new Service(
            (count, stream) -> {
              // Each of the first streams stores one image more than it answers.
              if (stream.number <= 8 && count == 40) {
                stream.service.stored.add(stream.current.getKey());
                stream.fail(Status.UNAVAILABLE);
              } else {
                stream.answer(stream.current.getKey());
              }
            });
    List<AddProgress> told = new ArrayList<>();
    var results = add(service, images(500), AddOptions.DEFAULT.withProgress(told::add));
    assertEquals(500, keys(results).size());
    assertEquals(9, service.streams.get());
    AddProgress last = told.get(499);
    assertEquals(500, last.done());
    assertEquals(8, last.alreadyPresent());
    assertEquals(8, last.resumed());
    assertEquals(500, last.bytes());
  }

  @Test
  void patienceEnds() {
    Service service = new Service((count, stream) -> stream.fail(Status.UNAVAILABLE.withDescription("away")));
    assertThrows(UnavailableException.class, () -> add(service, images(3), AddOptions.DEFAULT));
    assertEquals(FakeDaemon.QUICK.attempts(), service.streams.get());
  }

  @Test
  void whatIsNotRetryableEndsIt() {
    Service service = new Service((count, stream) -> stream.fail(Status.NOT_FOUND));
    assertThrows(NotFoundException.class, () -> add(service, images(3), AddOptions.DEFAULT));
    assertEquals(1, service.streams.get());
  }

  @Test
  void liesAreFound() {
    Service dropped =
        new Service(
            (count, stream) -> {
              if (count != 2) {
                stream.answer(stream.current.getKey());
              }
            });
    assertThrows(ProtocolException.class, () -> add(dropped, images(5), AddOptions.DEFAULT));
    Service repeated =
        new Service(
            (count, stream) -> {
              stream.answer(stream.current.getKey());
              stream.answer(stream.current.getKey());
            });
    assertThrows(ProtocolException.class, () -> add(repeated, images(5), AddOptions.DEFAULT));
    Service strange = new Service((count, stream) -> stream.answer("somebody else's"));
    assertThrows(ProtocolException.class, () -> add(strange, images(5), AddOptions.DEFAULT));
  }

  @Test
  void noMoreIsReadThanTheWindowHolds() throws Exception {
    AtomicInteger read = new AtomicInteger();
    Iterator<ImageSource> endless =
        Stream.iterate(0, i -> i + 1).map(i -> ImageSource.of("k" + i, new byte[10])).iterator();
    Iterator<ImageSource> counted =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return true;
          }

          @Override
          public ImageSource next() {
            read.incrementAndGet();
            return endless.next();
          }
        };
    try (var daemon = new FakeDaemon(new Service(HONEST), new FakeDaemon.Admin());
        var client = daemon.client();
        var results = client.images().add(counted, AddOptions.DEFAULT.withWindow(16, 1 << 20))) {
      Iterator<AddResult> each = results.iterator();
      for (int taken = 1; taken <= 1000; taken++) {
        each.next();
        assertTrue(read.get() <= taken + 17, read.get() + " read when " + taken + " were taken");
      }
    }
  }

  @Test
  void bytesUnderWayAreBounded() throws IOException {
    AtomicInteger underWay = new AtomicInteger();
    AtomicInteger most = new AtomicInteger();
    var images =
        IntStream.range(0, 200)
            .mapToObj(
                i ->
                    ImageSource.of(
                        "k" + i,
                        () -> {
                          most.accumulateAndGet(underWay.addAndGet(100), Math::max);
                          return new byte[100];
                        }));
    Service service =
        new Service(
            (count, stream) -> {
              underWay.addAndGet(-100);
              stream.answer(stream.current.getKey());
            });
    assertEquals(200, add(service, images, AddOptions.DEFAULT.withWindow(256, 500)).size());
    assertTrue(most.get() <= 600, most + " bytes");
  }

  @Test
  void keysMayComeTwiceOrNotAtAll() throws IOException {
    byte[] empty = {};
    var images =
        Stream.of(
            ImageSource.of("a", new byte[] {1}),
            ImageSource.of("a", new byte[] {2}),
            ImageSource.of("", empty),
            ImageSource.of("", new byte[] {3}),
            ImageSource.of("", new byte[] {3}));
    var results = add(new Service(HONEST), images, AddOptions.DEFAULT);
    assertEquals(5, results.size());
    assertEquals(2, results.stream().filter(result -> result.key().equals("a")).count());
    // BLAKE3 of nothing, from its specification.
    String nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assertEquals(nothing, ImageSource.imageId(empty));
    assertEquals(1, results.stream().filter(result -> result.key().equals(nothing)).count());
  }

  @Test
  void whatCannotBeReadIsAResult() throws IOException {
    var images =
        Stream.of(
            ImageSource.of(Path.of("no-such-folder", "no-such.jpg")),
            ImageSource.of("large", new byte[2001]),
            ImageSource.of(
                "gone",
                () -> {
                  throw new IOException("gone");
                }),
            ImageSource.of("good", new byte[] {1}));
    var results = add(new Service(HONEST), images, AddOptions.DEFAULT);
    assertEquals(4, results.size());
    AddResult missing = results.stream().filter(each -> each.key().endsWith("no-such.jpg")).findFirst().orElseThrow();
    assertEquals(AddStatus.ADD_STATUS_FAILED, missing.outcome().getStatus());
    assertTrue(missing.error().orElseThrow() instanceof NoSuchFileException);
    AddResult large = results.stream().filter(each -> each.key().equals("large")).findFirst().orElseThrow();
    assertEquals(AddStatus.ADD_STATUS_REJECTED, large.outcome().getStatus());
    assertEquals(AddCause.ADD_CAUSE_TOO_LARGE, large.outcome().getCause());
    assertEquals(1, results.stream().filter(AddResult::isStored).count());
  }

  @Test
  void anErrorOfTheSourceIsItsOwners() {
    IllegalStateException own = new IllegalStateException("of the source");
    Stream<ImageSource> images =
        images(10)
            .peek(
                image -> {
                  if (image.key().equals("k5")) {
                    throw own;
                  }
                });
    assertSame(own, assertThrows(IllegalStateException.class, () -> add(new Service(HONEST), images, AddOptions.DEFAULT)));
  }

  @Test
  void closingEndsASourceThatWaits() throws Exception {
    CountDownLatch closed = new CountDownLatch(1);
    CountDownLatch never = new CountDownLatch(1);
    Stream<ImageSource> waiting =
        images(2)
            .peek(
                image -> {
                  try {
                    if (image.key().equals("k1")) {
                      never.await();
                    }
                  } catch (InterruptedException stopped) {
                    throw new IllegalStateException(stopped);
                  }
                })
            .onClose(closed::countDown);
    try (var daemon = new FakeDaemon(new Service(HONEST), new FakeDaemon.Admin());
        var client = daemon.client()) {
      try (var results = client.images().add(waiting, AddOptions.DEFAULT)) {
        // The first has its result while the source has the second to give.
        assertEquals("k0", results.iterator().next().key());
      }
      closed.await();
    }
  }

  @Test
  void addingInTheBackgroundCanBeCancelled() throws Exception {
    try (var daemon = new FakeDaemon(new Service(HONEST), new FakeDaemon.Admin());
        var client = daemon.client()) {
      assertEquals(300, client.images().addAllAsync(images(300), AddOptions.DEFAULT).get().counts().added());
      CountDownLatch closed = new CountDownLatch(1);
      CountDownLatch begun = new CountDownLatch(1);
      Stream<ImageSource> endless =
          Stream.iterate(0, i -> i + 1).map(i -> ImageSource.of("e" + i, new byte[1])).onClose(closed::countDown);
      var adding = client.images().addAllAsync(endless, AddOptions.DEFAULT.withProgress(p -> begun.countDown()));
      begun.await();
      assertTrue(adding.cancel(true));
      closed.await();
    }
  }
}
