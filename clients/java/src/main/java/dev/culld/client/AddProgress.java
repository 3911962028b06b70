package dev.culld.client;

import dev.culld.v1.AddStatus;

/**
 * How far adding is.
 *
 * @param added images that are new
 * @param alreadyPresent images whose bytes were there
 * @param rejected images that can't be added
 * @param failed images that could not be added now, unreadable files among them
 * @param bytes bytes of the images with an outcome
 * @param resumed how often the stream broke and was taken up again
 */
public record AddProgress(long added, long alreadyPresent, long rejected, long failed, long bytes, long resumed) {
  static final AddProgress NONE = new AddProgress(0, 0, 0, 0, 0, 0);

  /**
   * Images with a result.
   *
   * @return how many
   */
  public long done() {
    return added + alreadyPresent + rejected + failed;
  }

  AddProgress plus(AddStatus status, long size, long resumedSoFar) {
    return new AddProgress(
        added + (status == AddStatus.ADD_STATUS_ADDED ? 1 : 0),
        alreadyPresent + (status == AddStatus.ADD_STATUS_ALREADY_PRESENT ? 1 : 0),
        rejected + (status == AddStatus.ADD_STATUS_REJECTED ? 1 : 0),
        failed + (isFailed(status) ? 1 : 0),
        bytes + size,
        resumedSoFar);
  }

  private static boolean isFailed(AddStatus status) {
    return switch (status) {
      case ADD_STATUS_ADDED, ADD_STATUS_ALREADY_PRESENT, ADD_STATUS_REJECTED -> false;
      default -> true;
    };
  }
}
