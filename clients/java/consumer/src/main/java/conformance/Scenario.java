package conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.culld.client.CulldClient;
import dev.culld.client.CulldException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One scenario, step by step. */
final class Scenario {
  private static final long REPEAT_NANOS = 30_000_000_000L;
  private static final long REPEAT_PAUSE_MS = 100;
  private static final Pattern VARIABLE = Pattern.compile("\\$\\{([^}]*)\\}");

  private final Stand stand;
  private final Matchers matchers;
  private final Calls calls;
  private final Behaviours behaviours;
  private final Map<String, JsonElement> variables = new HashMap<>();

  Scenario(Stand stand, String collection) {
    this.stand = stand;
    this.matchers = new Matchers(stand.ids());
    this.calls = new Calls(matchers);
    this.behaviours = new Behaviours(stand.pictures(), value -> stand.control(value));
    variables.put("collection", new JsonPrimitive(collection));
    variables.put("language", new JsonPrimitive("java"));
    variables.put("pictures", new JsonPrimitive(stand.pictures().toString()));
  }

  void run(JsonArray steps) throws InterruptedException {
    for (int index = 0; index < steps.size(); index++) {
      JsonObject step = steps.get(index).getAsJsonObject();
      String what = name(step);
      try {
        repeat(step);
      } catch (Failure failed) {
        throw new Failure("step " + (index + 1) + " (" + what + "): " + failed.getMessage());
      } catch (CulldException failed) {
        throw new Failure("step " + (index + 1) + " (" + what + "): " + failed);
      }
    }
  }

  private static String name(JsonObject step) {
    for (String kind : new String[] {"call", "do", "control"}) {
      if (step.has(kind)) {
        return step.get(kind).getAsString();
      }
    }
    throw new Failure("a step that does nothing: " + step);
  }

  private void repeat(JsonObject step) throws InterruptedException {
    long end = System.nanoTime() + REPEAT_NANOS;
    boolean repeats = step.has("repeat") && step.get("repeat").getAsBoolean();
    while (true) {
      try {
        once(step);
        return;
      } catch (Failure | CulldException failed) {
        if (!repeats || System.nanoTime() > end) {
          throw failed;
        }
        Thread.sleep(REPEAT_PAUSE_MS);
      }
    }
  }

  private void once(JsonObject raw) {
    JsonObject step = substituted(raw).getAsJsonObject();
    JsonElement answer;
    try {
      answer = make(step);
    } catch (CulldException failed) {
      if (!step.has("error")) {
        throw failed;
      }
      check(step.get("error"), error(failed));
      return;
    }
    if (step.has("error")) {
      throw new Failure("it should have failed, and answered " + answer);
    }
    if (step.has("expect")) {
      check(step.get("expect"), answer);
    }
    if (step.has("save")) {
      step.getAsJsonObject("save").entrySet().forEach(saved -> save(saved.getKey(), saved.getValue(), answer));
    }
  }

  private JsonElement make(JsonObject step) {
    if (step.has("control")) {
      return stand.control(step.get("control").getAsString());
    }
    String through = step.has("through") ? step.get("through").getAsString() : "";
    CulldClient client = stand.client(through);
    if (step.has("token")) {
      String token = step.get("token").getAsString();
      client = client.withToken(() -> token);
    }
    try {
      if (step.has("call")) {
        return calls.make(client, step);
      }
      JsonObject with = step.has("with") ? step.getAsJsonObject("with") : new JsonObject();
      String name = step.get("do").getAsString();
      return behaviours.make(client, name, with);
    } catch (CompletionException failed) {
      throw failed.getCause() instanceof CulldException cause ? cause : failed;
    }
  }

  private void save(String name, JsonElement path, JsonElement answer) {
    JsonElement value = Matchers.at(answer, path.getAsString());
    if (value == null) {
      throw new Failure("there is nothing at " + path.getAsString());
    }
    variables.put(name, value);
  }

  private void check(JsonElement wanted, JsonElement answer) {
    String differs = matchers.differs(wanted, answer, "answer");
    if (!differs.isEmpty()) {
      throw new Failure(differs);
    }
  }

  private static JsonObject error(CulldException failed) {
    JsonObject error = new JsonObject();
    error.addProperty("code", failed.code().name());
    error.addProperty("message", failed.getMessage());
    if (!failed.reason().isEmpty()) {
      error.addProperty("reason", failed.reason());
    }
    if (!failed.fields().isEmpty()) {
      JsonArray fields = new JsonArray();
      failed.fields().forEach(fields::add);
      error.add("fields", fields);
    }
    failed.retryDelay().ifPresent(delay -> error.addProperty("retrySeconds", delay.toNanos() / 1e9));
    return error;
  }

  private JsonElement substituted(JsonElement value) {
    if (value.isJsonObject()) {
      JsonObject all = new JsonObject();
      value.getAsJsonObject().entrySet().forEach(entry -> all.add(entry.getKey(), substituted(entry.getValue())));
      return all;
    }
    if (value.isJsonArray()) {
      JsonArray all = new JsonArray();
      value.getAsJsonArray().forEach(entry -> all.add(substituted(entry)));
      return all;
    }
    boolean isText = value.isJsonPrimitive() && value.getAsJsonPrimitive().isString();
    return isText ? substituted(value.getAsString()) : value;
  }

  private JsonElement substituted(String text) {
    if (text.startsWith("$file:")) {
      try {
        byte[] bytes = Files.readAllBytes(stand.pictures().resolve(text.substring("$file:".length())));
        return new JsonPrimitive(Base64.getEncoder().encodeToString(bytes));
      } catch (IOException failed) {
        throw new UncheckedIOException(failed);
      }
    }
    Matcher variable = VARIABLE.matcher(text);
    if (variable.matches()) {
      return variable(variable.group(1));
    }
    return new JsonPrimitive(
        VARIABLE.matcher(text).replaceAll(found -> Matcher.quoteReplacement(variable(found.group(1)).getAsString())));
  }

  private JsonElement variable(String name) {
    String id = name.startsWith("id:") ? stand.ids().get(name.substring("id:".length())) : null;
    JsonElement value = id == null ? variables.get(name) : new JsonPrimitive(id);
    if (value == null) {
      throw new Failure("no such variable: " + name);
    }
    return value;
  }
}
