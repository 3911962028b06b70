package dev.culld.client;

import dev.culld.v1.AddOutcome;
import dev.culld.v1.AddStatus;
import java.io.IOException;
import java.util.Optional;

/**
 * What became of one image.
 *
 * @param source the image, as it was given
 * @param outcome what became of it; where it could not be read, so made by the client
 * @param error why it could not be read; empty for an image that was sent
 */
public record AddResult(ImageSource source, AddOutcome outcome, Optional<IOException> error) {
  /**
   * Its key as a source.
   *
   * @return the key
   */
  public String key() {
    return outcome.getKey();
  }

  /**
   * Its id.
   *
   * @return the image id; empty where its bytes could not be had
   */
  public String imageId() {
    return outcome.getImageId();
  }

  /**
   * Whether it is stored now: added, or present before.
   *
   * @return whether it is
   */
  public boolean isStored() {
    return outcome.getStatus() == AddStatus.ADD_STATUS_ADDED
        || outcome.getStatus() == AddStatus.ADD_STATUS_ALREADY_PRESENT;
  }
}
