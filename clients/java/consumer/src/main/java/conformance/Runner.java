package conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.culld.client.AddOptions;
import dev.culld.client.CulldClient;
import dev.culld.client.ImageSource;
import dev.culld.client.NotFoundException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/** The runner of the conformance suite; clients/conformance/README.md says what it has to do. */
public final class Runner {
  private static final int LIMIT_SECONDS = 60;
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private Runner() {}

  /**
   * Runs what the flags ask for.
   *
   * @param arguments the flags
   * @throws Exception the suite can't be run at all
   */
  public static void main(String[] arguments) throws Exception {
    Map<String, String> flags = new HashMap<>();
    for (int i = 0; i + 1 < arguments.length; i += 2) {
      flags.put(arguments[i].substring("--".length()), arguments[i + 1]);
    }
    boolean passed = flags.containsKey("bench") ? bench(flags) : suite(flags);
    System.exit(passed ? 0 : 1);
  }

  private static boolean suite(Map<String, String> flags) throws IOException, InterruptedException {
    boolean passed = true;
    try (Stand stand = new Stand(flags);
        Stream<Path> listed = Files.list(Path.of(flags.get("scenarios")))) {
      List<String> only = flags.containsKey("only") ? List.of(flags.get("only").split(",")) : List.of();
      for (Path file : listed.filter(path -> path.toString().endsWith(".json")).sorted().toList()) {
        String name = file.getFileName().toString().replaceFirst("\\.json$", "");
        if (only.isEmpty() || only.contains(name)) {
          passed &= scenario(stand, name, JsonParser.parseString(Files.readString(file)).getAsJsonObject());
        }
      }
    }
    return passed;
  }

  private static boolean scenario(Stand stand, String name, JsonObject scenario) throws InterruptedException {
    JsonObject line = new JsonObject();
    line.addProperty("scenario", name);
    for (JsonElement need : scenario.has("needs") ? scenario.getAsJsonArray("needs") : new JsonArray()) {
      if (!stand.has(need.getAsString())) {
        line.addProperty("skipped", "no --" + need.getAsString());
        OUT.println(GSON.toJson(line));
        return true;
      }
    }
    int limit = scenario.has("limit_seconds") ? scenario.get("limit_seconds").getAsInt() : LIMIT_SECONDS;
    long started = System.nanoTime();
    String error = limited(() -> inCollection(stand, name, scenario.getAsJsonArray("steps")), limit);
    line.addProperty("ok", error.isEmpty());
    if (!error.isEmpty()) {
      line.addProperty("error", error);
    }
    line.addProperty("seconds", (System.nanoTime() - started) / 1_000_000 / 1e3);
    OUT.println(GSON.toJson(line));
    return error.isEmpty();
  }

  private interface Work {
    void run() throws Exception;
  }

  /** Does work within a time; answers why it failed, and nothing where it did not. */
  private static String limited(Work work, int seconds) throws InterruptedException {
    ExecutorService thread =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread made = new Thread(task, "scenario");
              made.setDaemon(true);
              return made;
            });
    Future<Void> running =
        thread.submit(
            () -> {
              work.run();
              return null;
            });
    try {
      running.get(seconds, TimeUnit.SECONDS);
      return "";
    } catch (TimeoutException late) {
      running.cancel(true);
      return "it took longer than " + seconds + " s";
    } catch (ExecutionException failed) {
      Throwable cause = failed.getCause();
      return cause instanceof Failure ? cause.getMessage() : cause.toString();
    } finally {
      thread.shutdown();
    }
  }

  private static void inCollection(Stand stand, String name, JsonArray steps) throws InterruptedException {
    CulldClient client = stand.client("");
    String collection = String.format("%s-%08x", name, new SecureRandom().nextInt());
    client.collections().create(collection);
    try {
      new Scenario(stand, collection).run(steps);
    } finally {
      // Who ran out of time was interrupted, and tidies up all the same.
      Thread.interrupted();
      try {
        client.collections().delete(collection);
      } catch (NotFoundException gone) {
        // The scenario did it.
      }
    }
  }

  private static boolean bench(Map<String, String> flags) throws IOException {
    try (CulldClient connected = CulldClient.builder().address(flags.get("address")).token(flags.getOrDefault("token", "")).build()) {
      String collection = String.format("bench-%08x", new SecureRandom().nextInt());
      connected.collections().create(collection);
      CulldClient client = connected.withCollection(collection);
      long started = System.nanoTime();
      var summary = client.images().addAll(ImageSource.walk(Path.of(flags.get("bench"))), AddOptions.DEFAULT);
      double seconds = (System.nanoTime() - started) / 1e9;
      if (!summary.isComplete()) {
        throw new Failure("not all were added: " + summary);
      }
      JsonObject line = new JsonObject();
      line.addProperty("images", summary.counts().done());
      line.addProperty("seconds", seconds);
      line.addProperty("peak_mib", peakMib());
      OUT.println(GSON.toJson(line));
      return true;
    }
  }

  /** The largest resident set of this process. */
  private static long peakMib() throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
      String line = lines.filter(each -> each.startsWith("VmHWM:")).findFirst().orElse("VmHWM: 0 kB");
      return Long.parseLong(line.replaceAll("\\D", "")) / 1024;
    }
  }
}
