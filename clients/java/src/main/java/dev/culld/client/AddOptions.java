package dev.culld.client;

import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * How to add images. Everything has a default: {@link #DEFAULT}.
 *
 * @param tags for every image's source, at most 32 of at most 128 bytes
 * @param imagesMax images under way at most: read or sent without an outcome, or with one that was not taken; 1 to 256
 * @param bytesMax bytes of images under way at most, and one more image; a larger image goes alone
 * @param progress told how far it is after each result that is taken, on the thread that takes it
 */
public record AddOptions(List<String> tags, int imagesMax, long bytesMax, Consumer<AddProgress> progress) {
  /** Images under way: the daemon stops a caller after as many unread outcomes. */
  private static final int IMAGES_MAX = 256;

  /** No tags, 256 images, 64 MiB, and nobody is told. */
  public static final AddOptions DEFAULT = new AddOptions(List.of(), IMAGES_MAX, 64L << 20, progress -> {});

  /**
   * Checks the values.
   *
   * @param tags see above
   * @param imagesMax see above
   * @param bytesMax see above
   * @param progress see above
   * @throws IllegalArgumentException one is out of its range
   */
  public AddOptions {
    tags = List.copyOf(tags);
    Objects.requireNonNull(progress, "progress");
    if (imagesMax < 1 || imagesMax > IMAGES_MAX) {
      throw new IllegalArgumentException("imagesMax is " + imagesMax + ", and must be 1 to " + IMAGES_MAX);
    }
    if (bytesMax < 1) {
      throw new IllegalArgumentException("bytesMax is " + bytesMax + ", and must be 1 or more");
    }
  }

  /**
   * The same with these tags.
   *
   * @param tags for every image's source
   * @return the changed options
   */
  public AddOptions withTags(String... tags) {
    return new AddOptions(List.of(tags), imagesMax, bytesMax, progress);
  }

  /**
   * The same with other bounds.
   *
   * @param imagesMax images under way at most, 1 to 256
   * @param bytesMax bytes of images under way at most
   * @return the changed options
   */
  public AddOptions withWindow(int imagesMax, long bytesMax) {
    return new AddOptions(tags, imagesMax, bytesMax, progress);
  }

  /**
   * The same with somebody to tell.
   *
   * @param progress told how far it is
   * @return the changed options
   */
  public AddOptions withProgress(Consumer<AddProgress> progress) {
    return new AddOptions(tags, imagesMax, bytesMax, progress);
  }
}
