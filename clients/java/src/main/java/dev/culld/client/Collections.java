package dev.culld.client;

import dev.culld.v1.Collection;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.CreateCollectionRequest;
import dev.culld.v1.DeleteCollectionRequest;
import dev.culld.v1.GetCollectionRequest;
import dev.culld.v1.GetPolicyRequest;
import dev.culld.v1.ImportCollectionResponse;
import dev.culld.v1.ListCollectionsRequest;
import dev.culld.v1.ListCollectionsResponse;
import dev.culld.v1.Policy;
import dev.culld.v1.SetPolicyRequest;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Separate worlds of images, how each decides, and how one is taken elsewhere. */
public final class Collections {
  private final CulldClient client;

  Collections(CulldClient client) {
    this.client = client;
  }

  /**
   * Makes an empty collection. {@link CulldClient#withCollection(String)} works on it.
   *
   * @param name 1 to 64 characters of a-z, 0-9, '-' and '_', starting with a letter or digit
   * @return the collection
   * @throws AlreadyExistsException the name is taken
   */
  public Collection create(String name) {
    var request = CreateCollectionRequest.newBuilder().setCollection(name).build();
    return client.call(CollectionServiceGrpc.getCreateCollectionMethod(), request).getCollection();
  }

  /**
   * Answers the client's collection.
   *
   * @return the collection
   */
  public Collection get() {
    var request = GetCollectionRequest.getDefaultInstance();
    return client.call(CollectionServiceGrpc.getGetCollectionMethod(), request).getCollection();
  }

  /**
   * Lists the collections by name.
   *
   * @return the collections
   */
  public Stream<Collection> list() {
    return Pages.of(
        client.wire(),
        CollectionServiceGrpc.getListCollectionsMethod(),
        ListCollectionsRequest.getDefaultInstance(),
        ListCollectionsResponse::getCollectionsList);
  }

  /**
   * Deletes a collection with its images, verdicts and log. Not undoable; files are never touched.
   *
   * @param name which; {@code "default"} is emptied rather than removed
   * @return how many images went with it
   */
  public long delete(String name) {
    if (name.isEmpty()) {
      throw new IllegalArgumentException("the collection to delete has to be named");
    }
    var request = DeleteCollectionRequest.newBuilder().setCollection(name).build();
    return client.call(CollectionServiceGrpc.getDeleteCollectionMethod(), request).getImages();
  }

  /**
   * Exports the client's collection to a file: a tar with everything that was added, said and clustered, for another
   * daemon ({@link #importFrom(Path)}) or other tools. The pictures themselves are not in it.
   *
   * <p>It is written beside its place and put there once it is whole, where a file that is there already is replaced.
   * An export that fails leaves nothing behind. One that was refused is tried again as the {@link RetryPolicy} says,
   * one that breaks off is not.
   *
   * @param file where to
   * @return how many bytes it has
   * @throws IOException it can't be written
   * @throws NotFoundException there is no such collection
   * @throws AbortedException the active clustering was replaced meanwhile
   * @throws CancelledException the thread was interrupted
   */
  public long exportTo(Path file) throws IOException {
    return CollectionExport.write(client.wire(), Objects.requireNonNull(file, "file"));
  }

  /**
   * As {@link #exportTo(Path)}, to a stream, which gets pieces of at most 1 MiB on this thread and is not closed. What
   * was written before a failure is of no use. A deadline and an interruption are noticed between two pieces.
   *
   * @param out where to
   * @return how many bytes were written
   * @throws IOException the stream's own
   */
  public long exportTo(OutputStream out) throws IOException {
    return CollectionExport.write(client.wire(), Objects.requireNonNull(out, "out"));
  }

  /**
   * Makes the client's collection of what was exported, whatever it was called before: with the same images and
   * decisions, and the log with the same hashes. There must be none of that name, or one that holds nothing. An import
   * that fails leaves nothing behind, and is not begun again by itself.
   *
   * <pre>{@code
   * here.withCollection("cars").collections().exportTo(Path.of("cars.tar"));
   * there.withCollection("cars").collections().importFrom(Path.of("cars.tar"));
   * }</pre>
   *
   * @param file what was exported
   * @return how many images and log entries were read, and the collection
   * @throws IOException the file can't be read
   * @throws AlreadyExistsException a collection of that name holds something
   * @throws FailedPreconditionException the vectors are of another space ({@code EMBEDDING_SPACE_MISMATCH}), or the
   *     file is damaged or cut off ({@code EXPORT_DAMAGED})
   * @throws CancelledException the thread was interrupted
   */
  public ImportCollectionResponse importFrom(Path file) throws IOException {
    return importFrom(file, progress -> {});
  }

  /**
   * As {@link #importFrom(Path)}, telling how far it is.
   *
   * @param file what was exported
   * @param progress told whenever it got farther, on this thread; what it throws ends the import
   * @return how many images and log entries were read, and the collection
   * @throws IOException the file can't be read
   */
  public ImportCollectionResponse importFrom(Path file, Consumer<ImportProgress> progress) throws IOException {
    Objects.requireNonNull(progress, "progress");
    return CollectionImport.read(client.wire(), Objects.requireNonNull(file, "file"), progress);
  }

  /**
   * As {@link #importFrom(Path)}, from a stream, which is read on this thread as the daemon takes it, and is not closed.
   * A deadline, an interruption and a refusal are noticed between two pieces of 1 MiB.
   *
   * @param source what was exported
   * @return how many images and log entries were read, and the collection
   * @throws IOException the stream's own
   */
  public ImportCollectionResponse importFrom(InputStream source) throws IOException {
    return importFrom(source, progress -> {});
  }

  /**
   * As {@link #importFrom(InputStream)}, telling how far it is.
   *
   * @param source what was exported
   * @param progress told whenever it got farther, on this thread; what it throws ends the import
   * @return how many images and log entries were read, and the collection
   * @throws IOException the stream's own
   */
  public ImportCollectionResponse importFrom(InputStream source, Consumer<ImportProgress> progress)
      throws IOException {
    Objects.requireNonNull(progress, "progress");
    return CollectionImport.read(client.wire(), Objects.requireNonNull(source, "source"), progress);
  }

  /**
   * Answers the policy in force.
   *
   * @return the policy
   */
  public Policy policy() {
    return client.call(CollectionServiceGrpc.getGetPolicyMethod(), GetPolicyRequest.getDefaultInstance()).getPolicy();
  }

  /**
   * Changes the policy.
   *
   * @param policy what is to change; fields that are left out keep their values
   * @return the policy now in force
   * @throws InvalidArgumentException a field is out of its range
   */
  public Policy setPolicy(Policy policy) {
    var request = SetPolicyRequest.newBuilder().setPolicy(policy).build();
    return client.call(CollectionServiceGrpc.getSetPolicyMethod(), request).getPolicy();
  }
}
