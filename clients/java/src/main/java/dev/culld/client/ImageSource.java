package dev.culld.client;

import com.google.protobuf.UnsafeByteOperations;
import dev.culld.v1.NewImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.commons.codec.binary.Hex;
import org.apache.commons.codec.digest.Blake3;

/** An image to add, which is read when it is its turn. */
public interface ImageSource {
  /**
   * The caller's name for it, at most 4,096 bytes of UTF-8; its result carries it.
   *
   * @return the key; empty means the image id
   */
  String key();

  /**
   * Reads it. Called once.
   *
   * @return the image, with the same key
   * @throws IOException it can't be read; that is its result, then, and the others go on
   */
  NewImage read() throws IOException;

  /**
   * How large it is, where that is known without reading it: what is larger than the daemon takes is not read.
   *
   * @return bytes; 0 where it is not known
   * @throws IOException as {@link #read()}
   */
  default long sizeBytes() throws IOException {
    return 0;
  }

  /**
   * A file; its key is the path as it is given, with {@code /} between its parts.
   *
   * @param file the file
   * @return the source
   */
  static ImageSource of(Path file) {
    return new ImageFiles.Found(ImageFiles.key(file), file);
  }

  /**
   * A file under another name.
   *
   * @param key the key
   * @param file the file
   * @return the source
   */
  static ImageSource of(String key, Path file) {
    return new ImageFiles.Found(key, file);
  }

  /**
   * The bytes of a file; they must not be changed before the image has its result.
   *
   * @param key the key; empty means the image id
   * @param data the bytes
   * @return the source
   */
  static ImageSource of(String key, byte[] data) {
    return of(NewImage.newBuilder().setKey(key).setData(UnsafeByteOperations.unsafeWrap(data)).build());
  }

  /**
   * An image with all that can be said of it.
   *
   * @param image the image
   * @return the source
   */
  static ImageSource of(NewImage image) {
    Objects.requireNonNull(image, "image");
    return new ImageSource() {
      @Override
      public String key() {
        return image.getKey();
      }

      @Override
      public NewImage read() {
        return image;
      }

      @Override
      public long sizeBytes() {
        return image.getData().size();
      }
    };
  }

  /**
   * Bytes that are fetched when it is their turn, from an object store for example. An exception of the fetch is the
   * image's result, and the others go on.
   *
   * @param key the key; empty means the image id
   * @param fetch gives the bytes
   * @return the source
   */
  static ImageSource of(String key, Callable<byte[]> fetch) {
    Objects.requireNonNull(fetch, "fetch");
    return new ImageSource() {
      @Override
      public String key() {
        return key;
      }

      @Override
      public NewImage read() throws IOException {
        try {
          return NewImage.newBuilder().setKey(key).setData(UnsafeByteOperations.unsafeWrap(fetch.call())).build();
        } catch (IOException | RuntimeException failed) {
          throw failed;
        } catch (Exception failed) {
          throw new IOException(failed.getMessage(), failed);
        }
      }
    };
  }

  /**
   * Every file under a directory, by name, as {@code culld add} finds them: symbolic links are followed, but no directory
   * is walked twice; what begins with a dot is left out. Keys are the paths below the directory. What can't be looked at
   * is a source that can't be read.
   *
   * @param directory the directory; a file is the only source, then
   * @return the sources
   */
  static Stream<ImageSource> walk(Path directory) {
    return MessageStream.streamOf(new ImageFiles(directory));
  }

  /**
   * The id that culld gives these bytes: BLAKE3, 64 hexadecimal digits.
   *
   * @param data the bytes of a file
   * @return the image id
   */
  static String imageId(byte[] data) {
    return Hex.encodeHexString(Blake3.hash(data));
  }

  /**
   * The id that culld will give a file.
   *
   * @param file the file
   * @return the image id
   * @throws IOException it can't be read
   */
  static String imageId(Path file) throws IOException {
    Blake3 hash = Blake3.initHash();
    byte[] buffer = new byte[1 << 16];
    try (var input = Files.newInputStream(file)) {
      for (int read = input.read(buffer); read >= 0; read = input.read(buffer)) {
        hash.update(buffer, 0, read);
      }
    }
    return Hex.encodeHexString(hash.doFinalize(32));
  }
}
