package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.TlsServerCredentials;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TlsTest {
  private static final char[] PASSWORD = "password".toCharArray();

  @TempDir static Path folder;

  @BeforeAll
  static void makeCertificates() throws Exception {
    for (String name : List.of("server", "client", "stranger")) {
      Path store = folder.resolve(name + ".p12");
      List<String> command =
          new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "keytool").toString()));
      command.addAll(List.of("-genkeypair", "-alias", name, "-keyalg", "EC", "-dname", "CN=" + name));
      command.addAll(List.of("-ext", "SAN=IP:127.0.0.1", "-ext", "BC=ca:true", "-validity", "2"));
      command.addAll(List.of("-storetype", "PKCS12", "-keystore", store.toString(), "-storepass", "password"));
      Process made = new ProcessBuilder(command).redirectErrorStream(true).start();
      String said = new String(made.getInputStream().readAllBytes());
      assertEquals(0, made.waitFor(), said);
      write(name, store);
    }
  }

  private static void write(String name, Path store) throws IOException, GeneralSecurityException {
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream input = Files.newInputStream(store)) {
      keys.load(input, PASSWORD);
    }
    Files.writeString(pem(name), asPem("CERTIFICATE", keys.getCertificate(name).getEncoded()));
    Files.writeString(key(name), asPem("PRIVATE KEY", keys.getKey(name, PASSWORD).getEncoded()));
  }

  private static String asPem(String what, byte[] bytes) {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
    return "-----BEGIN " + what + "-----\n" + text + "\n-----END " + what + "-----\n";
  }

  private static Path pem(String name) {
    return folder.resolve(name + ".pem");
  }

  private static Path key(String name) {
    return folder.resolve(name + ".key");
  }

  @Test
  void bothSidesShowWhoTheyAre() throws IOException {
    var credentials =
        TlsServerCredentials.newBuilder()
            .keyManager(pem("server").toFile(), key("server").toFile())
            .trustManager(pem("client").toFile())
            .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
            .build();
    try (var daemon = new FakeDaemon(credentials, new FakeDaemon.Admin())) {
      ClientBuilder known =
          CulldClient.builder()
              .address(daemon.address("https"))
              .retry(RetryPolicy.NONE)
              .trust(pem("server"))
              .token("secret");
      try (var client = known.clientCertificate(pem("client"), key("client")).build()) {
        assertEquals("fake", client.serverInfo().getVersion());
        assertEquals(List.of("Bearer secret"), daemon.tokens);
      }
      // A client that the daemon does not know, and a daemon that the client does not.
      try (var client = known.clientCertificate(pem("stranger"), key("stranger")).build()) {
        assertThrows(UnavailableException.class, client::serverInfo);
      }
      try (var client = known.clientCertificate(pem("client"), key("client")).trust(pem("stranger")).build()) {
        assertThrows(UnavailableException.class, client::serverInfo);
      }
      assertEquals(1, daemon.tokens.size());
    }
  }

  @Test
  void theEnvironmentTellsAllOfIt() throws IOException {
    Path token = Files.writeString(folder.resolve("token"), "from a file\n");
    var credentials =
        TlsServerCredentials.newBuilder().keyManager(pem("server").toFile(), key("server").toFile()).build();
    try (var daemon = new FakeDaemon(credentials, new FakeDaemon.Admin())) {
      var variables =
          java.util.Map.of(
              "CULLD_SERVER", daemon.address("https"),
              "CULLD_CA", pem("server").toString(),
              "CULLD_TOKEN_FILE", token.toString(),
              "CULLD_CLIENT_CERT", pem("client").toString(),
              "CULLD_CLIENT_KEY", key("client").toString());
      try (var client = CulldClient.builder().environment(variables::get).build()) {
        client.serverInfo();
        assertEquals(List.of("Bearer from a file"), daemon.tokens);
      }
    }
  }
}
