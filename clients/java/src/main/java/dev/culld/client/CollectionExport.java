package dev.culld.client;

import com.google.protobuf.ByteString;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.ExportCollectionRequest;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;

/** Writes a collection as the daemon streams it, piece by piece, on the thread that asks for it. */
final class CollectionExport {
  private CollectionExport() {}

  /** Writes it beside its place, and puts it there once it is whole; answers how many bytes it has. */
  static long write(Wire wire, Path file) throws IOException {
    if (Files.isDirectory(file)) {
      // Known now rather than once everything was written.
      throw new FileAlreadyExistsException(file.toString(), null, "a directory");
    }
    // A name of its own: two exports to one place don't meet, and what a killed process left is in nobody's way.
    String suffix = String.format(".%08x.part", ThreadLocalRandom.current().nextInt());
    Path part = file.resolveSibling(file.getFileName() + suffix);
    FileChannel channel = FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try {
      long bytes;
      try (channel) {
        bytes = write(wire, Channels.newOutputStream(channel));
        channel.force(true);
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
      return bytes;
    } catch (ClosedByInterruptException interrupted) {
      CulldException failed = Wire.interrupted();
      remove(part, failed);
      throw failed;
    } catch (Throwable failed) {
      remove(part, failed);
      throw failed;
    }
  }

  private static void remove(Path part, Throwable failed) {
    try {
      Files.deleteIfExists(part);
    } catch (IOException stays) {
      failed.addSuppressed(stays);
    }
  }

  /** Writes it; answers how many bytes it has. */
  static long write(Wire wire, OutputStream out) throws IOException {
    var request = ExportCollectionRequest.getDefaultInstance();
    try (var pieces = wire.stream(CollectionServiceGrpc.getExportCollectionMethod(), request)) {
      long bytes = 0;
      while (pieces.hasNext()) {
        ByteString data = pieces.next().getData();
        data.writeTo(out);
        bytes += data.size();
      }
      if (bytes == 0) {
        throw new ProtocolException("an export that ended without a piece");
      }
      out.flush();
      return bytes;
    }
  }
}
