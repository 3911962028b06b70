package sample;
import dev.culld.client.*;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.*;

/** Adds the pictures of a folder as they come, and prints each decision whenever it changes. */
final class WatchFolder {
  public static void main(String[] arguments) {
    Path folder = Path.of(arguments[1]);
    Set<String> seen = ConcurrentHashMap.newKeySet();
    ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    try (var client = CulldClient.connect(arguments[0]);
        var decisions = client.decisions().follow()) {
      Runnable look = () -> {
        var pictures = ImageSource.walk(folder).filter(picture -> seen.add(picture.key()));
        try (var results = client.images().add(pictures, AddOptions.DEFAULT)) {
          // What can't be added may be half written: it is looked at again.
          results.filter(result -> !result.isStored()).forEach(result -> seen.remove(result.key()));
        }
      };
      timer.scheduleWithFixedDelay(look, 0, 1, TimeUnit.SECONDS);
      decisions.stream().forEach(event -> {
        if (event instanceof DecisionEvent.Decided decided) {
          System.out.println(decided.decision().getImageId() + " " + decided.decision().getDecision());
        }
      });
    }
  }
}
