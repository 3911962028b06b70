package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.culld.v1.AddImageRequest;
import dev.culld.v1.AddImageResponse;
import dev.culld.v1.BatchGetThumbnailsRequest;
import dev.culld.v1.BatchGetThumbnailsResponse;
import dev.culld.v1.DeleteImagesRequest;
import dev.culld.v1.DeleteImagesResponse;
import dev.culld.v1.Image;
import dev.culld.v1.ImageFilter;
import dev.culld.v1.ImageServiceGrpc;
import dev.culld.v1.ListImagesRequest;
import dev.culld.v1.ListImagesResponse;
import dev.culld.v1.Thumbnail;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class CallsTest {
  private static final class Service extends ImageServiceGrpc.ImageServiceImplBase {
    final List<AddImageRequest> added = new CopyOnWriteArrayList<>();
    final List<ListImagesRequest> listed = new CopyOnWriteArrayList<>();
    final List<DeleteImagesRequest> deleted = new CopyOnWriteArrayList<>();
    final CountDownLatch cancelled = new CountDownLatch(1);
    final CountDownLatch held = new CountDownLatch(1);
    /** What the next calls answer in place of success. */
    final Queue<StatusRuntimeException> failures = new ArrayDeque<>();

    Service(StatusRuntimeException... failures) {
      this.failures.addAll(Arrays.asList(failures));
    }

    @Override
    public void addImage(AddImageRequest request, StreamObserver<AddImageResponse> answers) {
      added.add(request);
      StatusRuntimeException failure = failures.poll();
      if (failure == null) {
        answers.onNext(AddImageResponse.getDefaultInstance());
        answers.onCompleted();
      } else {
        answers.onError(failure);
      }
    }

    @Override
    public void deleteImages(DeleteImagesRequest request, StreamObserver<DeleteImagesResponse> answers) {
      // Never answers.
      deleted.add(request);
      ((io.grpc.stub.ServerCallStreamObserver<DeleteImagesResponse>) answers).setOnCancelHandler(cancelled::countDown);
      held.countDown();
    }

    @Override
    public void listImages(ListImagesRequest request, StreamObserver<ListImagesResponse> answers) {
      listed.add(request);
      int page = request.getPageToken().isEmpty() ? 0 : Integer.parseInt(request.getPageToken());
      var answer = ListImagesResponse.newBuilder().setNextPageToken(page == 3 ? "" : String.valueOf(page + 1));
      for (int i = 0; i < (page == 1 ? 0 : 2); i++) {
        answer.addImages(Image.newBuilder().setImageId(page + "-" + i));
      }
      answers.onNext(answer.build());
      answers.onCompleted();
    }

    @Override
    public void batchGetThumbnails(
        BatchGetThumbnailsRequest request, StreamObserver<BatchGetThumbnailsResponse> answers) {
      var answer = BatchGetThumbnailsResponse.newBuilder();
      List<String> ids = request.getImageIdsList();
      assertTrue(ids.size() <= 100);
      ids.stream().limit(30).forEach(id -> answer.addThumbnails(Thumbnail.newBuilder().setImageId(id)));
      ids.stream().skip(30).forEach(answer::addRemainingImageIds);
      answers.onNext(answer.build());
      answers.onCompleted();
    }
  }

  private static StatusRuntimeException failure(Status.Code code, com.google.protobuf.Message... details) {
    var status = com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage("why");
    Arrays.stream(details).forEach(detail -> status.addDetails(Any.pack(detail)));
    return StatusProto.toStatusRuntimeException(status.build());
  }

  private static RetryInfo after(int millis) {
    return RetryInfo.newBuilder()
        .setRetryDelay(com.google.protobuf.Duration.newBuilder().setNanos(millis * 1_000_000))
        .build();
  }

  private static void addOne(Service service) throws IOException {
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client()) {
      client.images().addOne(ImageSource.of("a", new byte[] {1}));
    }
  }

  @Test
  void oneRequestIdForAllTries() throws IOException {
    Service service = new Service(failure(Status.Code.UNAVAILABLE), failure(Status.Code.UNAVAILABLE));
    addOne(service);
    addOne(service);
    var ids = service.added.stream().map(AddImageRequest::getRequestId).toList();
    assertEquals(4, ids.size());
    assertFalse(ids.get(0).isEmpty());
    assertEquals(2, new HashSet<>(ids).size());
    assertEquals(ids.get(0), ids.get(2));
  }

  @Test
  void theDelayOfRetryInfoIsWaitedFor() throws IOException {
    Service service = new Service(failure(Status.Code.RESOURCE_EXHAUSTED, after(200)));
    long started = System.nanoTime();
    addOne(service);
    assertEquals(2, service.added.size());
    assertTrue(System.nanoTime() - started >= 200_000_000);
  }

  @Test
  void whatWillNotHelpIsNotTriedAgain() {
    for (var code : List.of(Status.Code.RESOURCE_EXHAUSTED, Status.Code.INTERNAL, Status.Code.UNAUTHENTICATED)) {
      Service service = new Service(failure(code));
      assertEquals(code, assertThrows(CulldException.class, () -> addOne(service)).code());
      assertEquals(1, service.added.size());
    }
  }

  @Test
  void patienceEnds() {
    Service service = new Service();
    for (int i = 0; i < 9; i++) {
      service.failures.add(failure(Status.Code.UNAVAILABLE));
    }
    assertThrows(UnavailableException.class, () -> addOne(service));
    assertEquals(FakeDaemon.QUICK.attempts(), service.added.size());
  }

  @Test
  void errorsAreTypedAndTellEverything() {
    var violated =
        BadRequest.newBuilder()
            .addFieldViolations(BadRequest.FieldViolation.newBuilder().setField("image.key"))
            .build();
    var info = ErrorInfo.newBuilder().setReason("INVALID_FIELD").build();
    Service service = new Service(failure(Status.Code.INVALID_ARGUMENT, info, violated));
    var error = assertThrows(InvalidArgumentException.class, () -> addOne(service));
    assertEquals("INVALID_FIELD", error.reason());
    assertEquals(List.of("image.key"), error.fields());
    assertEquals("INVALID_ARGUMENT (INVALID_FIELD): why", error.getMessage());
    // It says where the caller was, and not where the answer arrived.
    assertTrue(Arrays.stream(error.getStackTrace()).anyMatch(at -> at.getMethodName().equals("addOne")));
  }

  @Test
  void everyCodeHasItsException() {
    for (Status.Code code : Status.Code.values()) {
      if (code != Status.Code.OK) {
        assertEquals(code, CulldException.of(code.toStatus().asRuntimeException()).code());
      }
    }
  }

  @Test
  void listingsGoOnOverAllPages() throws IOException {
    Service service = new Service();
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client().withCollection("birds")) {
      var ids = client.images().list().map(Image::getImageId).toList();
      assertEquals(List.of("0-0", "0-1", "2-0", "2-1", "3-0", "3-1"), ids);
      assertEquals(List.of("", "1", "2", "3"), service.listed.stream().map(ListImagesRequest::getPageToken).toList());
      assertTrue(service.listed.stream().allMatch(each -> each.getCollection().equals("birds")));
      assertTrue(service.listed.stream().allMatch(each -> each.getPageSize() == 1000));
      // No page is asked for that is not needed.
      assertEquals("0-0", client.images().list().findFirst().orElseThrow().getImageId());
      assertEquals(5, service.listed.size());
    }
  }

  @Test
  void thumbnailsThatDidNotFitAreAskedForAgain() throws IOException {
    try (var daemon = new FakeDaemon(new Service());
        var client = daemon.client()) {
      var ids = IntStream.range(0, 333).mapToObj(String::valueOf).toList();
      assertEquals(ids, client.images().thumbnails(ids).map(Thumbnail::getImageId).toList());
    }
  }

  @Test
  void deadlinesCancellationAndInterruption() throws Exception {
    Service service = new Service();
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client()) {
      var images = client.withDeadline(Duration.ofMillis(100)).images();
      assertThrows(
          DeadlineExceededException.class, () -> images.delete(ImageFilter.newBuilder().setNoise(true).build()));
      var call =
          client
              .withActor("ada")
              .callAsync(ImageServiceGrpc.getDeleteImagesMethod(), DeleteImagesRequest.getDefaultInstance());
      service.held.await();
      call.cancel(true);
      service.cancelled.await();
      Thread.currentThread().interrupt();
      assertThrows(CancelledException.class, () -> client.images().delete(ImageFilter.getDefaultInstance()));
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void whoActsIsFilledIn() throws Exception {
    Service service = new Service();
    try (var daemon = new FakeDaemon(service);
        var client = CulldClient.builder().address(daemon.address("http")).actor("ada").build()) {
      var images = client.withDeadline(Duration.ofMillis(500)).images();
      assertThrows(DeadlineExceededException.class, () -> images.delete(ImageFilter.getDefaultInstance()));
      assertEquals("ada", service.deleted.get(0).getActor());
    }
  }

  @Test
  void tokensAreSentAndChange() throws IOException {
    try (var daemon = new FakeDaemon(new Service());
        var client = CulldClient.builder().address(daemon.address("http")).token("one").build()) {
      client.images().list().findFirst();
      client.withToken(() -> "two").images().list().findFirst();
      client.withToken(() -> "").images().list().findFirst();
      assertEquals(List.of("Bearer one", "Bearer two", ""), daemon.tokens);
    }
    // Before anything is sent, or looked up.
    try (var client = CulldClient.builder().address("http://culld.invalid").token("one").build()) {
      assertThrows(UnauthenticatedException.class, client::serverInfo);
      assertThrows(UnauthenticatedException.class, client.decisions()::fetch);
    }
  }

  @Test
  void optionsAreChecked() {
    for (String address : List.of("ftp://a", "http://", "http://a/path")) {
      assertThrows(IllegalArgumentException.class, () -> CulldClient.connect(address), address);
    }
    assertThrows(IllegalArgumentException.class, () -> CulldClient.builder().deadline(Duration.ZERO));
    assertThrows(IllegalArgumentException.class, () -> AddOptions.DEFAULT.withWindow(257, 1));
    assertThrows(IllegalArgumentException.class, () -> AddOptions.DEFAULT.withWindow(1, 0));
    assertThrows(IllegalArgumentException.class, () -> RetryPolicy.DEFAULT.withAttempts(0));
    var plain = CulldClient.builder().trust(java.nio.file.Path.of("ca.pem"));
    assertThrows(IllegalArgumentException.class, plain::build);
  }

  @Test
  void theDefaultPatienceOutlastsARestart() {
    var gone = CulldException.of(Status.UNAVAILABLE.asRuntimeException());
    double seconds = 0;
    int tries = 1;
    for (var wait = RetryPolicy.DEFAULT.delay(gone, tries); wait.isPresent(); tries++) {
      seconds += wait.get().toNanos() / 1e9;
      wait = RetryPolicy.DEFAULT.delay(gone, tries + 1);
    }
    assertTrue(tries >= 8 && seconds >= 15, tries + " tries over " + seconds + " s");
    assertTrue(RetryPolicy.NONE.delay(gone, 1).isEmpty());
  }
}
