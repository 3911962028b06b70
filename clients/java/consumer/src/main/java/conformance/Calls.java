package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.Message;
import dev.culld.client.CulldClient;
import dev.culld.client.CulldException;
import dev.culld.client.MessageStream;
import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.ClusteringServiceGrpc;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.DecisionServiceGrpc;
import dev.culld.v1.ImageServiceGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** Any call of the API by its name, through the thin layer. */
final class Calls {
  private static final List<ServiceDescriptor> SERVICES =
      List.of(
          AdminServiceGrpc.getServiceDescriptor(),
          ClusteringServiceGrpc.getServiceDescriptor(),
          CollectionServiceGrpc.getServiceDescriptor(),
          DecisionServiceGrpc.getServiceDescriptor(),
          ImageServiceGrpc.getServiceDescriptor());

  private final Matchers matchers;

  Calls(Matchers matchers) {
    this.matchers = matchers;
  }

  JsonObject make(CulldClient client, JsonObject step) {
    String name = step.get("call").getAsString();
    MethodDescriptor<Message, Message> method = method(name);
    var kind = ((MethodDescriptor.PrototypeMarshaller<?>) method.getRequestMarshaller()).getMessagePrototype();
    Message request = Json.to((Message) kind, step.get("request"));
    CulldClient limited = step.has("deadline") ? client.withDeadline(seconds(step, "deadline")) : client;
    return method.getType() == MethodDescriptor.MethodType.UNARY
        ? unary(limited, method, request, step)
        : streaming(limited, method, request, step);
  }

  private static JsonObject unary(
      CulldClient client, MethodDescriptor<Message, Message> method, Message request, JsonObject step) {
    if (step.has("collect")) {
      return pages(client, method, request, step.get("collect").getAsString());
    }
    Thread here = Thread.currentThread();
    return cancelling(step, here::interrupt, () -> Json.of(client.call(method, request)));
  }

  private static JsonObject pages(
      CulldClient client, MethodDescriptor<Message, Message> method, Message request, String field) {
    JsonArray all = new JsonArray();
    Message next = request;
    for (int messages = 1; ; messages++) {
      JsonObject page = Json.of(client.call(method, next));
      addAll(all, page.get(field));
      JsonElement token = page.get("nextPageToken");
      if (token == null) {
        return collected(page, field, all, messages);
      }
      var descriptor = next.getDescriptorForType().findFieldByName("page_token");
      next = next.toBuilder().setField(descriptor, token.getAsString()).build();
    }
  }

  private JsonObject streaming(
      CulldClient client, MethodDescriptor<Message, Message> method, Message request, JsonObject step) {
    try (MessageStream<Message> messages = client.stream(method, request)) {
      return cancelling(step, messages::close, () -> read(messages, step));
    }
  }

  private JsonObject read(MessageStream<Message> messages, JsonObject step) {
    if (step.has("collect")) {
      String field = step.get("collect").getAsString();
      JsonArray all = new JsonArray();
      JsonObject last = new JsonObject();
      int count = 0;
      for (; messages.hasNext(); count++) {
        last = Json.of(messages.next());
        addAll(all, last.get(field));
      }
      return collected(last, field, all, count);
    }
    int take = step.has("take") ? step.get("take").getAsInt() : Integer.MAX_VALUE;
    Predicate<JsonObject> isLast =
        step.has("until") ? message -> matchers.matches(step.get("until"), message) : message -> false;
    JsonArray read = new JsonArray();
    while (read.size() < take && messages.hasNext()) {
      JsonObject message = Json.of(messages.next());
      read.add(message);
      if (isLast.test(message)) {
        break;
      }
    }
    return Json.object("messages", read);
  }

  /** Makes a call, and gives it up after a while where the step says so. */
  private static JsonObject cancelling(JsonObject step, Runnable cancel, java.util.function.Supplier<JsonObject> call) {
    if (!step.has("cancel_after")) {
      return call.get();
    }
    ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    try {
      timer.schedule(cancel, seconds(step, "cancel_after").toMillis(), TimeUnit.MILLISECONDS);
      return call.get();
    } catch (CulldException failed) {
      Thread.interrupted();
      throw failed;
    } finally {
      timer.shutdownNow();
    }
  }

  private static JsonObject collected(JsonObject last, String field, JsonArray all, int messages) {
    last.add(field, all);
    last.add("messages", new JsonPrimitive(messages));
    return last;
  }

  private static void addAll(JsonArray all, JsonElement entries) {
    if (entries != null) {
      all.addAll(entries.getAsJsonArray());
    }
  }

  private static Duration seconds(JsonObject step, String name) {
    return Duration.ofNanos(Math.round(step.get(name).getAsDouble() * 1e9));
  }

  @SuppressWarnings("unchecked") // All of them take and give messages.
  private static MethodDescriptor<Message, Message> method(String name) {
    for (ServiceDescriptor service : SERVICES) {
      for (MethodDescriptor<?, ?> method : service.getMethods()) {
        if (method.getFullMethodName().equals("culld.v1." + name)) {
          return (MethodDescriptor<Message, Message>) method;
        }
      }
    }
    throw new Failure("no such call: " + name);
  }
}
