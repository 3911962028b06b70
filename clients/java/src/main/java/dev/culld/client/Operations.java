package dev.culld.client;

import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.ListOperationsRequest;
import dev.culld.v1.ListOperationsResponse;
import dev.culld.v1.Operation;
import dev.culld.v1.VerifyReport;
import dev.culld.v1.VerifyRequest;
import java.util.function.Function;
import java.util.stream.Stream;

/** Long work of the daemon. */
public final class Operations {
  private final CulldClient client;

  Operations(CulldClient client) {
    this.client = client;
  }

  /**
   * Lists the operations of all collections, newest first; the last 1,000 are kept.
   *
   * @return the operations, asked for page by page as they are needed
   */
  public Stream<Operation> list() {
    return list(ListOperationsRequest.getDefaultInstance());
  }

  /**
   * As {@link #list()}, of one collection.
   *
   * @param request which; here, no collection means all of them
   * @return the operations, asked for page by page as they are needed
   */
  public Stream<Operation> list(ListOperationsRequest request) {
    return Pages.of(
        client.wire(),
        AdminServiceGrpc.getListOperationsMethod(),
        request,
        ListOperationsResponse::getOperationsList);
  }

  /**
   * Finds an operation again, whoever started it. Nothing is asked of the daemon yet.
   *
   * @param name {@code "operations/"} and a number
   * @return the work; its result is the operation itself
   */
  public OperationHandle<Operation> handle(String name) {
    return new OperationHandle<>(client, Operation.newBuilder().setName(name).build(), Function.identity());
  }

  /**
   * Has the daemon look at every record of its store. Changes nothing.
   *
   * @return the work; it ends well where there are problems, too: its report has them
   */
  public OperationHandle<VerifyReport> verify() {
    var started = client.call(AdminServiceGrpc.getVerifyMethod(), VerifyRequest.getDefaultInstance());
    return new OperationHandle<>(client, started.getOperation(), Operation::getVerify);
  }
}
