/**
 * Client of culld, the daemon that sorts growing image stores.
 *
 * <p>{@link dev.culld.client.CulldClient} is where to begin. Requests and answers are the generated messages of
 * {@code dev.culld.v1}; this package adds what every caller would otherwise write: the connection, retries, deadlines,
 * adding images with back-pressure, listings without paging, watching with resume, long work to wait for, whole
 * collections to and from files, and typed errors.
 */
package dev.culld.client;
