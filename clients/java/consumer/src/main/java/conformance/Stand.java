package conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import dev.culld.client.ClientBuilder;
import dev.culld.client.CulldClient;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** What the suite gave: addresses, pictures, the way to have things happen. */
final class Stand implements AutoCloseable {
  private final Map<String, String> flags;
  private final Path pictures;
  private final Map<String, String> ids = new HashMap<>();
  private final Map<String, CulldClient> clients = new HashMap<>();
  private final HttpClient http = HttpClient.newHttpClient();

  Stand(Map<String, String> flags) throws IOException {
    this.flags = flags;
    this.pictures = Path.of(flags.get("pictures")).toAbsolutePath();
    var listed = JsonParser.parseString(Files.readString(pictures.resolve("ids.json"))).getAsJsonObject();
    listed.entrySet().forEach(entry -> ids.put(entry.getKey(), entry.getValue().getAsString()));
  }

  Path pictures() {
    return pictures;
  }

  Map<String, String> ids() {
    return ids;
  }

  boolean has(String flag) {
    return flags.containsKey(flag);
  }

  /** The client of an address: of the daemon itself, of the secured one, or through "gate" or "tls". */
  synchronized CulldClient client(String through) {
    return clients.computeIfAbsent(through.isEmpty() ? "address" : through, this::connect);
  }

  private CulldClient connect(String flag) {
    ClientBuilder builder = CulldClient.builder().address(flags.get(flag));
    String token = flag.equals("secured") ? "secured-token" : "token";
    if (flags.containsKey(token)) {
      builder.token(flags.get(token));
    }
    if (flag.equals("tls") || flag.equals("secured")) {
      builder.trust(Path.of(flags.get("ca")));
    }
    if (flag.equals("secured")) {
      builder.clientCertificate(Path.of(flags.get("cert")), Path.of(flags.get("key")));
    }
    return builder.build();
  }

  JsonElement control(String value) {
    var request =
        HttpRequest.newBuilder(URI.create(flags.get("control") + "/" + value))
            .POST(HttpRequest.BodyPublishers.noBody())
            .build();
    try {
      HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        throw new Failure("control answered " + answer.statusCode() + ": " + answer.body());
      }
      return JsonParser.parseString(answer.body());
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new Failure("interrupted");
    }
  }

  @Override
  public synchronized void close() {
    clients.values().forEach(CulldClient::close);
  }
}
