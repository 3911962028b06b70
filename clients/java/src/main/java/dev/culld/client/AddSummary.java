package dev.culld.client;

import java.util.List;

/**
 * What became of many images.
 *
 * @param counts how many of each outcome
 * @param problems what was not stored, and why; the first 100
 */
public record AddSummary(AddProgress counts, List<AddResult> problems) {
  /** Problems kept word for word; the others are counted. */
  static final int PROBLEMS_MAX = 100;

  /**
   * Whether every image is stored.
   *
   * @return whether none was rejected, nor failed
   */
  public boolean isComplete() {
    return counts.rejected() + counts.failed() == 0;
  }
}
