package dev.culld.client;

import com.google.protobuf.Timestamp;
import com.google.protobuf.UnsafeByteOperations;
import dev.culld.v1.NewImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.stream.Stream;

/** Finds files as {@code culld add} does, with the same keys and URIs: whoever adds them, they are the same sources. */
final class ImageFiles implements Iterator<ImageSource> {
  /** Bytes of a URI at most. */
  private static final int URI_BYTES_MAX = 4096;

  private final Path root;
  private final Deque<Path> pending = new ArrayDeque<>();
  private final Set<Path> walked = new HashSet<>();
  private ImageSource found;

  ImageFiles(Path root) {
    this.root = root;
    pending.push(root);
  }

  @Override
  public boolean hasNext() {
    while (found == null && !pending.isEmpty()) {
      Path path = pending.pop();
      try {
        found = look(path);
      } catch (IOException failed) {
        found = new Unreadable(keyOf(path), failed);
      }
    }
    return found != null;
  }

  @Override
  public ImageSource next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    ImageSource next = found;
    found = null;
    return next;
  }

  private ImageSource look(Path path) throws IOException {
    if (Files.isDirectory(path)) {
      enter(path);
      return null;
    }
    if (Files.isRegularFile(path)) {
      return new Found(keyOf(path), path);
    }
    if (path.equals(root) || !Files.exists(path)) {
      throw new FileSystemException(path.toString(), null, "it is neither a file nor a directory");
    }
    return null;
  }

  private void enter(Path directory) throws IOException {
    if (!walked.add(directory.toRealPath())) {
      return;
    }
    List<Path> entries;
    try (Stream<Path> listed = Files.list(directory)) {
      entries = listed.filter(path -> !path.getFileName().toString().startsWith(".")).sorted().toList();
    }
    for (int at = entries.size() - 1; at >= 0; at--) {
      pending.push(entries.get(at));
    }
  }

  private String keyOf(Path path) {
    return key(path.equals(root) ? path : root.relativize(path));
  }

  /** The path with {@code /} between its parts. */
  static String key(Path path) {
    return path.toString().replace(path.getFileSystem().getSeparator(), "/");
  }

  /** The {@code file://} URI of an absolute path; every byte that a URI can't hold is percent-encoded (RFC 8089). */
  static String uri(Path path) {
    String text = key(path);
    StringBuilder uri = new StringBuilder(text.startsWith("/") ? "file://" : "file:///");
    for (byte each : text.getBytes(StandardCharsets.UTF_8)) {
      boolean letter = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') || (each >= '0' && each <= '9');
      if (letter || "/-._~".indexOf(each) >= 0) {
        uri.append((char) each);
      } else {
        uri.append(String.format("%%%02X", each));
      }
    }
    return uri.toString();
  }

  /** A file. */
  record Found(String key, Path path) implements ImageSource {
    @Override
    public NewImage read() throws IOException {
      byte[] data = Files.readAllBytes(path);
      Instant modified = Files.getLastModifiedTime(path).toInstant();
      String uri = uri(path.toRealPath());
      return NewImage.newBuilder()
          .setKey(key)
          .setData(UnsafeByteOperations.unsafeWrap(data))
          .setUri(uri.length() <= URI_BYTES_MAX ? uri : "")
          .setModifyTime(Timestamp.newBuilder().setSeconds(modified.getEpochSecond()).setNanos(modified.getNano()))
          .build();
    }

    @Override
    public long sizeBytes() throws IOException {
      return Files.size(path);
    }
  }

  /** What could not be looked at. */
  private record Unreadable(String key, IOException cause) implements ImageSource {
    @Override
    public NewImage read() throws IOException {
      throw cause;
    }
  }
}
