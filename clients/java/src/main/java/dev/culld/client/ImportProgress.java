package dev.culld.client;

/**
 * How far the import of a collection is.
 *
 * @param bytes bytes sent, of those that the export has
 * @param images images that the daemon has read
 * @param events log entries that the daemon has read
 */
public record ImportProgress(long bytes, long images, long events) {
  static final ImportProgress NONE = new ImportProgress(0, 0, 0);
}
