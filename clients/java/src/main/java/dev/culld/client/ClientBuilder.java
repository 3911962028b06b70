package dev.culld.client;

import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/** How to make a {@link CulldClient}. Everything has a default. */
public final class ClientBuilder {
  private static final int DEFAULT_PORT = 7357;
  /** Bytes of an answer at most: the daemon's largest, and what goes with it. */
  private static final int MESSAGE_BYTES_MAX = 80 << 20;

  private String address = "http://127.0.0.1:" + DEFAULT_PORT;
  private String collection = "";
  private String actor = "";
  private Duration deadline = Duration.ofMinutes(5);
  private RetryPolicy retry = RetryPolicy.DEFAULT;
  private Supplier<String> token = () -> "";
  private boolean insecureToken;
  private Path authorities;
  private Path clientCertificate;
  private Path clientKey;
  private String serverName;
  private Duration keepalive = Duration.ofSeconds(30);
  private final List<ClientInterceptor> interceptors = new ArrayList<>();
  private Consumer<ManagedChannelBuilder<?>> channel = builder -> {};

  ClientBuilder() {}

  /**
   * Where the daemon listens. Default {@code http://127.0.0.1:7357}.
   *
   * @param address {@code http://host:port}, or {@code https://host:port} for TLS; without a scheme {@code http}, without
   *     a port 7357
   * @return this
   */
  public ClientBuilder address(String address) {
    this.address = Objects.requireNonNull(address, "address");
    return this;
  }

  /**
   * The collection of requests that name none. Default {@code "default"}.
   *
   * @param name the collection
   * @return this
   */
  public ClientBuilder collection(String name) {
    this.collection = Objects.requireNonNull(name, "name");
    return this;
  }

  /**
   * Who acts, for the log, in requests that name nobody. Default nobody.
   *
   * @param actor who, at most 128 characters
   * @return this
   */
  public ClientBuilder actor(String actor) {
    this.actor = Objects.requireNonNull(actor, "actor");
    return this;
  }

  /**
   * The bearer token to send with each call. Default none. Over {@code http} it is sent to this machine only.
   *
   * @param token the token
   * @return this
   */
  public ClientBuilder token(String token) {
    Objects.requireNonNull(token, "token");
    return token(() -> token);
  }

  /**
   * The bearer token to send with each call, for tokens that change.
   *
   * @param token asked for with each try of each call; an empty answer sends none
   * @return this
   */
  public ClientBuilder token(Supplier<String> token) {
    this.token = Objects.requireNonNull(token, "token");
    return this;
  }

  /**
   * Sends the token over {@code http} to other machines as well, where something else keeps it from being read.
   *
   * @return this
   */
  public ClientBuilder insecureToken() {
    this.insecureToken = true;
    return this;
  }

  /**
   * Takes what environment variables say, where they say something: {@code CULLD_SERVER}, {@code CULLD_COLLECTION}, {@code
   * CULLD_TOKEN} or {@code CULLD_TOKEN_FILE} (read anew with each call), {@code CULLD_CA}, {@code CULLD_CLIENT_CERT} and
   * {@code CULLD_CLIENT_KEY}.
   *
   * @return this
   */
  public ClientBuilder environment() {
    return environment(System::getenv);
  }

  ClientBuilder environment(UnaryOperator<String> variables) {
    ifSaid(variables.apply("CULLD_SERVER"), this::address);
    ifSaid(variables.apply("CULLD_COLLECTION"), this::collection);
    ifSaid(variables.apply("CULLD_TOKEN_FILE"), file -> token(() -> read(Path.of(file))));
    ifSaid(variables.apply("CULLD_TOKEN"), this::token);
    ifSaid(variables.apply("CULLD_CA"), file -> trust(Path.of(file)));
    ifSaid(
        variables.apply("CULLD_CLIENT_CERT"),
        file -> clientCertificate(Path.of(file), Path.of(variables.apply("CULLD_CLIENT_KEY"))));
    return this;
  }

  private static void ifSaid(String value, Consumer<String> set) {
    if (value != null && !value.isEmpty()) {
      set.accept(value);
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  /**
   * The authorities whose certificates are trusted, with {@code https}. Default those that Java trusts.
   *
   * @param pem a file of certificates in PEM
   * @return this
   */
  public ClientBuilder trust(Path pem) {
    this.authorities = Objects.requireNonNull(pem, "pem");
    return this;
  }

  /**
   * The certificate to show to the daemon, with {@code https}. Default none.
   *
   * @param certificatesPem a file of the certificate and those that lead to its authority, in PEM
   * @param keyPem a file of its key, PKCS#8 in PEM, not encrypted
   * @return this
   */
  public ClientBuilder clientCertificate(Path certificatesPem, Path keyPem) {
    this.clientCertificate = Objects.requireNonNull(certificatesPem, "certificatesPem");
    this.clientKey = Objects.requireNonNull(keyPem, "keyPem");
    return this;
  }

  /**
   * The name that the daemon's certificate is for, where that is not the address's.
   *
   * @param name the name
   * @return this
   */
  public ClientBuilder serverName(String name) {
    this.serverName = Objects.requireNonNull(name, "name");
    return this;
  }

  /**
   * The longest that a call with one answer may take, all its tries together. Default 5 minutes. Streams have no deadline
   * but that of {@link CulldClient#withDeadline}.
   *
   * @param deadline the longest time
   * @return this
   */
  public ClientBuilder deadline(Duration deadline) {
    checkPositive(deadline, "deadline");
    this.deadline = deadline;
    return this;
  }

  /**
   * When to try again. Default {@link RetryPolicy#DEFAULT}.
   *
   * @param retry the policy
   * @return this
   */
  public ClientBuilder retry(RetryPolicy retry) {
    this.retry = Objects.requireNonNull(retry, "retry");
    return this;
  }

  /**
   * After how long a silence the connection is asked whether it is still there. Default 30 seconds; one that does not
   * answer within 20 seconds is given up.
   *
   * @param silence the silence, 10 seconds or more
   * @return this
   */
  public ClientBuilder keepalive(Duration silence) {
    checkPositive(silence, "silence");
    this.keepalive = silence;
    return this;
  }

  /**
   * Has calls go through an interceptor, for tracing and metrics. May be repeated; the first one is the outermost.
   *
   * @param interceptor the interceptor
   * @return this
   */
  public ClientBuilder intercept(ClientInterceptor interceptor) {
    interceptors.add(Objects.requireNonNull(interceptor, "interceptor"));
    return this;
  }

  /**
   * Sets what else gRPC can do: executor, proxy, name resolution.
   *
   * @param configure called with the builder of the channel, last of all
   * @return this
   */
  public ClientBuilder channel(Consumer<ManagedChannelBuilder<?>> configure) {
    this.channel = Objects.requireNonNull(configure, "configure");
    return this;
  }

  /**
   * Makes the client. It connects with its first call.
   *
   * @return the client, to be closed
   * @throws IllegalArgumentException the address is none, or certificates are given without {@code https}
   * @throws UncheckedIOException a file of certificates or keys can't be read
   */
  public CulldClient build() {
    URI uri = uri(address);
    boolean secure = uri.getScheme().equals("https");
    if (!secure && (authorities != null || clientCertificate != null)) {
      throw new IllegalArgumentException("certificates are of use with https only: " + address);
    }
    int port = uri.getPort() < 0 ? DEFAULT_PORT : uri.getPort();
    ManagedChannelBuilder<?> builder = Grpc.newChannelBuilderForAddress(uri.getHost(), port, credentials(secure));
    builder
        .maxInboundMessageSize(MESSAGE_BYTES_MAX)
        .keepAliveTime(keepalive.toMillis(), TimeUnit.MILLISECONDS)
        .disableRetry(); // The retry policy is this package's to keep.
    if (serverName != null) {
      builder.overrideAuthority(serverName);
    }
    channel.accept(builder);
    ManagedChannel managed = builder.build();
    var settings = new Wire.Settings(collection, actor, deadline, null, retry, token);
    var intercepted = ClientInterceptors.interceptForward(managed, interceptors);
    return new CulldClient(new Wire(managed, intercepted, timer(), secure || insecureToken || isHere(uri.getHost()), settings));
  }

  private ChannelCredentials credentials(boolean secure) {
    if (!secure) {
      return InsecureChannelCredentials.create();
    }
    var tls = TlsChannelCredentials.newBuilder();
    try {
      if (authorities != null) {
        tls.trustManager(authorities.toFile());
      }
      if (clientCertificate != null) {
        tls.keyManager(clientCertificate.toFile(), clientKey.toFile());
      }
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
    return tls.build();
  }

  private static URI uri(String address) {
    URI uri = URI.create(address.contains("://") ? address : "http://" + address);
    boolean known = uri.getScheme().equals("http") || uri.getScheme().equals("https");
    if (!known || uri.getHost() == null || !(uri.getPath().isEmpty() || uri.getPath().equals("/"))) {
      throw new IllegalArgumentException("not an address such as http://127.0.0.1:7357: " + address);
    }
    return uri;
  }

  private static boolean isHere(String host) {
    return host.equals("localhost") || host.equals("[::1]") || host.startsWith("127.");
  }

  private static ScheduledExecutorService timer() {
    return Executors.newSingleThreadScheduledExecutor(
        task -> {
          Thread thread = new Thread(task, "culld-timer");
          thread.setDaemon(true);
          return thread;
        });
  }

  static void checkPositive(Duration duration, String name) {
    if (duration.isNegative() || duration.isZero()) {
      throw new IllegalArgumentException(name + " has to be longer than nothing");
    }
  }
}
