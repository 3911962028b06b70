package dev.culld.client;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.Stream;

/** The entries of a listing, whose pages are asked for as they are needed. */
final class Pages<Q extends Message, A extends Message, T> implements Iterator<T> {
  /** Entries of a page: the most that the daemon gives. */
  private static final int PAGE_SIZE = 1000;

  private final Wire wire;
  private final MethodDescriptor<Q, A> method;
  private final Function<A, List<T>> entries;
  private Q request;
  private Iterator<T> page = List.<T>of().iterator();

  private Pages(Wire wire, MethodDescriptor<Q, A> method, Q request, Function<A, List<T>> entries) {
    this.wire = wire;
    this.method = method;
    this.entries = entries;
    this.request = request;
  }

  static <Q extends Message, A extends Message, T> Stream<T> of(
      Wire wire, MethodDescriptor<Q, A> method, Q request, Function<A, List<T>> entries) {
    var size = request.getDescriptorForType().findFieldByName("page_size");
    Q first = (Integer) request.getField(size) == 0 ? with(request, "page_size", PAGE_SIZE) : request;
    return MessageStream.streamOf(new Pages<>(wire, method, first, entries));
  }

  @Override
  public boolean hasNext() {
    // A page may be empty before the last one.
    while (!page.hasNext() && request != null) {
      A answer = wire.call(method, request);
      String token = (String) answer.getField(answer.getDescriptorForType().findFieldByName("next_page_token"));
      request = token.isEmpty() ? null : with(request, "page_token", token);
      page = entries.apply(answer).iterator();
    }
    return page.hasNext();
  }

  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return page.next();
  }

  private static <Q extends Message> Q with(Q request, String field, Object value) {
    var descriptor = request.getDescriptorForType().findFieldByName(field);
    @SuppressWarnings("unchecked") // A builder builds what it came from.
    Q changed = (Q) request.toBuilder().setField(descriptor, value).build();
    return changed;
  }
}
