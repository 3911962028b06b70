package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.Message;
import dev.culld.client.AddOptions;
import dev.culld.client.AddResult;
import dev.culld.client.CulldClient;
import dev.culld.client.DecisionEvent;
import dev.culld.client.ImageSource;
import dev.culld.v1.AddImageRequest;
import dev.culld.v1.Clustering;
import dev.culld.v1.FetchDecisionsRequest;
import dev.culld.v1.ImageServiceGrpc;
import dev.culld.v1.ListImagesRequest;
import dev.culld.v1.ListMembersRequest;
import dev.culld.v1.NewImage;
import dev.culld.v1.NextReviewResponse;
import dev.culld.v1.Parameters;
import dev.culld.v1.ReviewAnswer;
import dev.culld.v1.WatchDecisionsRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** What can't be said by data, done as a user would. */
final class Behaviours {
  private final Path pictures;
  private final Consumer<String> control;

  Behaviours(Path pictures, Consumer<String> control) {
    this.pictures = pictures;
    this.control = control;
  }

  JsonObject make(CulldClient connected, String name, JsonObject with) {
    JsonElement collection = with.get("collection");
    CulldClient client = collection == null ? connected : connected.withCollection(collection.getAsString());
    return switch (name) {
      case "add" -> add(client, with);
      case "images" -> list("images", client.images().list(fields(ListImagesRequest.getDefaultInstance(), with)));
      case "clusters" -> {
        long clustering = with.has("clusteringId") ? with.get("clusteringId").getAsLong() : 0;
        yield list("clusters", client.clusterings().clusters(clustering));
      }
      case "members" ->
          list("members", client.clusterings().members(fields(ListMembersRequest.getDefaultInstance(), with)));
      case "decisions" -> decisions(client, with);
      case "thumbnails" -> list("thumbnails", client.images().thumbnails(texts(with.get("imageIds"))));
      case "recluster" -> recluster(client, with);
      case "transfer" -> transfer(client, connected.withCollection(with.get("to").getAsString()), with);
      case "wait" -> {
        var operation = client.operations().handle(with.get("name").getAsString()).await();
        yield Json.object("operation", Json.of(operation));
      }
      case "review" -> review(client, with);
      case "watch" -> watch(client, with);
      default -> throw new Failure("no such behaviour: " + name);
    };
  }

  private JsonObject add(CulldClient client, JsonObject with) {
    AtomicLong done = new AtomicLong();
    AddOptions options =
        AddOptions.DEFAULT
            .withTags(texts(with.get("tags")).toArray(String[]::new))
            .withProgress(progress -> done.set(progress.done()));
    int restartAfter = with.has("restart_after") ? with.get("restart_after").getAsInt() : 0;
    int cancelAfter = with.has("cancel_after") ? with.get("cancel_after").getAsInt() : 0;
    JsonArray outcomes = new JsonArray();
    try (Stream<AddResult> results = adding(client, with, options)) {
      Iterator<AddResult> each = results.iterator();
      while (each.hasNext()) {
        outcomes.add(Json.of(each.next().outcome()));
        if (outcomes.size() == restartAfter) {
          control.accept("restart");
        }
        if (outcomes.size() == cancelAfter) {
          JsonObject answer = Json.object("outcomes", outcomes);
          answer.add("cancelled", new JsonPrimitive(true));
          return answer;
        }
      }
    }
    JsonObject answer = Json.object("outcomes", outcomes);
    answer.add("progress", new JsonPrimitive(done.get()));
    return answer;
  }

  private Stream<AddResult> adding(CulldClient client, JsonObject with, AddOptions options) {
    if (with.has("folder")) {
      return client.images().add(ImageSource.walk(pictures.resolve(with.get("folder").getAsString())), options);
    }
    if (with.has("paths")) {
      var paths = texts(with.get("paths")).stream().map(path -> ImageSource.of(pictures.resolve(path)));
      return client.images().add(paths, options);
    }
    var images = with.get("images").getAsJsonArray().asList().stream();
    return client
        .images()
        .add(images.map(image -> ImageSource.of(Json.to(NewImage.getDefaultInstance(), image))).iterator(), options);
  }

  private static JsonObject decisions(CulldClient client, JsonObject with) {
    try (var fetched = client.decisions().fetch(fields(FetchDecisionsRequest.getDefaultInstance(), with))) {
      JsonArray decisions = new JsonArray();
      fetched.forEachRemaining(decision -> decisions.add(Json.of(decision)));
      JsonObject answer = Json.object("decisions", decisions);
      answer.add("token", new JsonPrimitive(fetched.token()));
      return answer;
    }
  }

  private static JsonObject recluster(CulldClient client, JsonObject with) {
    AtomicLong looks = new AtomicLong();
    var parameters = Json.to(Parameters.getDefaultInstance(), with.get("parameters"));
    Clustering found =
        client.clusterings().recluster(parameters).result(progress -> looks.incrementAndGet()).join();
    if (looks.get() == 0) {
      throw new Failure("no progress was told");
    }
    return Json.object("clustering", Json.of(found));
  }

  private static JsonObject transfer(CulldClient from, CulldClient to, JsonObject with) {
    try {
      Path folder = Files.createTempDirectory("culld-transfer-");
      Path file = folder.resolve("collection.tar");
      try {
        from.collections().exportTo(file);
        if (with.has("cut")) {
          try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(with.get("cut").getAsLong());
          }
        }
        AtomicLong sent = new AtomicLong();
        var imported = to.collections().importFrom(file, progress -> sent.set(progress.bytes()));
        if (sent.get() == 0) {
          throw new Failure("no progress was told");
        }
        JsonObject answer = Json.of(imported);
        answer.addProperty("bytes", Files.size(file));
        return answer;
      } finally {
        Files.deleteIfExists(file);
        // Fails where an export left something else there.
        Files.delete(folder);
      }
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private static JsonObject review(CulldClient client, JsonObject with) {
    var reviews = client.reviews(with.get("reviewer").getAsString());
    JsonArray items = new JsonArray();
    JsonArray answers = new JsonArray();
    for (String answer : texts(with.get("answers"))) {
      NextReviewResponse next = reviews.next();
      if (!next.hasItem()) {
        throw new Failure("nothing is left to review");
      }
      items.add(Json.of(next.getItem()));
      answers.add(Json.of(reviews.answer(next.getItem(), ReviewAnswer.valueOf(answer))));
    }
    JsonObject answer = Json.object("items", items);
    answer.add("answers", answers);
    answer.add("judgements", new JsonPrimitive(reviews.next().getEstimate().getJudgements()));
    return answer;
  }

  private JsonObject watch(CulldClient client, JsonObject with) {
    List<NewImage> images =
        with.get("add").getAsJsonArray().asList().stream()
            .map(image -> Json.to(NewImage.getDefaultInstance(), image))
            .toList();
    boolean restart = with.has("restart") && with.get("restart").getAsBoolean();
    boolean since = with.has("since");
    var request = WatchDecisionsRequest.newBuilder();
    var decisions = client.decisions();
    JsonArray changes = new JsonArray();
    long resyncs = since ? 0 : -1;
    int added = 0;
    ExecutorService adding = Executors.newSingleThreadExecutor();
    try (var watch =
        since ? decisions.watchSince(with.get("since").getAsString()) : decisions.follow(request.build())) {
      adding.execute(() -> addOne(client, images, 0, restart));
      while (added < images.size()) {
        DecisionEvent event = watch.next();
        if (event instanceof DecisionEvent.Reset) {
          resyncs++;
        } else if (event instanceof DecisionEvent.Decided decided) {
          JsonObject change = Json.object("imageId", new JsonPrimitive(decided.decision().getImageId()));
          change.add("decision", Json.of(decided.decision()));
          changes.add(change);
          String awaited = ImageSource.imageId(images.get(added).getData().toByteArray());
          if (decided.decision().getImageId().equals(awaited)) {
            added++;
            int next = added;
            adding.execute(() -> addOne(client, images, next, restart));
          }
        } else if (event instanceof DecisionEvent.Removed removed) {
          JsonObject change = Json.object("imageId", new JsonPrimitive(removed.removal().getImageId()));
          change.add("removed", new JsonPrimitive(removed.removal().getReason().name()));
          changes.add(change);
        }
      }
    } finally {
      adding.shutdown();
    }
    JsonObject answer = Json.object("changes", changes);
    answer.add("resyncs", new JsonPrimitive(resyncs));
    return answer;
  }

  private void addOne(CulldClient client, List<NewImage> images, int index, boolean restart) {
    if (index == images.size()) {
      return;
    }
    if (restart && index == images.size() - 1) {
      control.accept("restart");
    }
    client.call(
        ImageServiceGrpc.getAddImageMethod(), AddImageRequest.newBuilder().setImage(images.get(index)).build());
  }

  private static JsonObject list(String name, Stream<? extends Message> messages) {
    return Json.object(name, Json.of(messages.toList()));
  }

  private static <M extends Message> M fields(M kind, JsonObject with) {
    return Json.to(kind, with);
  }

  private static List<String> texts(JsonElement list) {
    return list == null ? List.of() : list.getAsJsonArray().asList().stream().map(JsonElement::getAsString).toList();
  }
}
