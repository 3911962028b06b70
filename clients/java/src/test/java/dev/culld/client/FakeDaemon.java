package dev.culld.client;

import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.GetServerInfoRequest;
import dev.culld.v1.GetServerInfoResponse;
import dev.culld.v1.ServerLimits;
import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.ServerCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** A daemon that does what a test says, on loopback. */
final class FakeDaemon implements AutoCloseable {
  /** Tries again at once, nearly: tests don't wait. */
  static final RetryPolicy QUICK = new RetryPolicy(5, Duration.ofMillis(1), Duration.ofMillis(5), 2, 0.5);

  final List<String> tokens = new CopyOnWriteArrayList<>();
  private final Server server;

  FakeDaemon(BindableService... services) throws IOException {
    this(InsecureServerCredentials.create(), services);
  }

  FakeDaemon(ServerCredentials credentials, BindableService... services) throws IOException {
    var builder = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0), credentials);
    for (BindableService service : services) {
      builder.addService(service);
    }
    server = builder.intercept(new Tokens()).build().start();
  }

  String address(String scheme) {
    return scheme + "://127.0.0.1:" + server.getPort();
  }

  CulldClient client() {
    return CulldClient.builder().address(address("http")).retry(QUICK).build();
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(5, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Answers the limits, for those who add. */
  static final class Admin extends AdminServiceGrpc.AdminServiceImplBase {
    @Override
    public void getServerInfo(GetServerInfoRequest request, StreamObserver<GetServerInfoResponse> answers) {
      var limits = ServerLimits.newBuilder().setImageBytesMax(1000);
      answers.onNext(GetServerInfoResponse.newBuilder().setVersion("fake").setLimits(limits).build());
      answers.onCompleted();
    }
  }

  private final class Tokens implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      String token = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
      tokens.add(token == null ? "" : token);
      return next.startCall(call, headers);
    }
  }
}
