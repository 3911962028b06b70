package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.Decision;
import dev.culld.v1.DecisionServiceGrpc;
import dev.culld.v1.FetchDecisionsRequest;
import dev.culld.v1.FetchDecisionsResponse;
import dev.culld.v1.Operation;
import dev.culld.v1.OperationError;
import dev.culld.v1.Removal;
import dev.culld.v1.WatchDecisionsRequest;
import dev.culld.v1.WatchDecisionsResponse;
import dev.culld.v1.WatchOperationRequest;
import dev.culld.v1.WatchOperationResponse;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class WatchTest {
  private static Decision decision(String id, long revision) {
    return Decision.newBuilder().setImageId(id).setRevision(revision).build();
  }

  /** Each stream tells one change, and breaks; the token "old" is of no use. */
  private static final class Service extends DecisionServiceGrpc.DecisionServiceImplBase {
    final List<String> since = new CopyOnWriteArrayList<>();
    final AtomicInteger fetches = new AtomicInteger();

    @Override
    public void watchDecisions(WatchDecisionsRequest request, StreamObserver<WatchDecisionsResponse> answers) {
      since.add(request.getSince());
      if (request.getSince().equals("old")) {
        answers.onError(Status.OUT_OF_RANGE.asRuntimeException());
        return;
      }
      var removal = Removal.newBuilder().setImageId("gone").setRevision(1);
      var message =
          WatchDecisionsResponse.newBuilder()
              .addDecisions(decision("w" + since.size(), 2))
              .addRemovals(removal)
              .setToken("t" + since.size());
      answers.onNext(message.build());
      answers.onError(Status.UNAVAILABLE.asRuntimeException());
    }

    @Override
    public void fetchDecisions(FetchDecisionsRequest request, StreamObserver<FetchDecisionsResponse> answers) {
      answers.onNext(FetchDecisionsResponse.newBuilder().addDecisions(decision("a", 1)).build());
      if (fetches.incrementAndGet() == 1) {
        answers.onError(Status.UNAVAILABLE.asRuntimeException());
        return;
      }
      answers.onNext(FetchDecisionsResponse.newBuilder().addDecisions(decision("b", 1)).setToken("all").build());
      answers.onCompleted();
    }
  }

  private static String told(DecisionEvent event) {
    if (event instanceof DecisionEvent.Decided decided) {
      return decided.decision().getImageId();
    }
    if (event instanceof DecisionEvent.Removed removed) {
      return "-" + removed.removal().getImageId();
    }
    return event instanceof DecisionEvent.Checkpoint checkpoint ? "@" + checkpoint.token() : "reset";
  }

  private static List<String> told(DecisionWatch watch, int count) {
    List<String> told = new ArrayList<>();
    while (told.size() < count) {
      told.add(told(watch.next()));
    }
    return told;
  }

  @Test
  void aWatchGoesOnFromItsLastTokenAndFetchesWhereItCannot() throws IOException {
    Service service = new Service();
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client();
        var watch = client.decisions().watchSince("old")) {
      var expected =
          List.of("reset", "a", "reset", "a", "b", "@all", "-gone", "w2", "@t2", "-gone", "w3", "@t3");
      assertEquals(expected, told(watch, 12));
      assertEquals(List.of("old", "all", "t2"), service.since.subList(0, 3));
    }
  }

  @Test
  void whoFollowsIsToldEverythingFirst() throws IOException {
    Service service = new Service();
    service.fetches.set(1);
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client();
        var watch = client.decisions().follow()) {
      assertEquals(List.of("reset", "a", "b", "@all", "-gone", "w1"), told(watch, 6));
      watch.close();
      assertThrows(CancelledException.class, () -> told(watch, 100));
    }
  }

  @Test
  void aFetchHasItsTokenAtTheEnd() throws IOException {
    Service service = new Service();
    service.fetches.set(1);
    try (var daemon = new FakeDaemon(service);
        var client = daemon.client();
        var fetched = client.decisions().fetch()) {
      fetched.next();
      assertThrows(IllegalStateException.class, fetched::token);
      assertEquals(1, fetched.stream().count());
      assertEquals("all", fetched.token());
    }
  }

  @Test
  void workIsWaitedForOverBreaks() throws IOException {
    AtomicInteger streams = new AtomicInteger();
    var admin =
        new AdminServiceGrpc.AdminServiceImplBase() {
          @Override
          public void watchOperation(WatchOperationRequest request, StreamObserver<WatchOperationResponse> answers) {
            boolean last = streams.incrementAndGet() == 3;
            var operation = Operation.newBuilder().setName(request.getName()).setWorkDone(streams.get()).setDone(last);
            if (last && request.getName().endsWith("2")) {
              operation.setError(OperationError.newBuilder().setCode(1).setReason("CANCELLED").setMessage("by hand"));
            }
            answers.onNext(WatchOperationResponse.newBuilder().setOperation(operation).build());
            if (last) {
              answers.onCompleted();
            } else {
              answers.onError(Status.UNAVAILABLE.asRuntimeException());
            }
          }
        };
    try (var daemon = new FakeDaemon(admin);
        var client = daemon.client()) {
      List<Long> progress = new CopyOnWriteArrayList<>();
      var work = client.operations().handle("operations/1");
      assertEquals("operations/1", work.result(each -> progress.add(each.getWorkDone())).join().getName());
      assertEquals(List.of(1L, 2L, 3L), progress);
      streams.set(0);
      var failing = client.operations().handle("operations/2");
      var cancelled = assertThrows(CancelledException.class, failing::await);
      assertEquals("CANCELLED", cancelled.reason());
      streams.set(0);
      var thrown = assertThrows(CompletionException.class, () -> failing.result().join());
      assertEquals(CancelledException.class, thrown.getCause().getClass());
    }
  }
}
