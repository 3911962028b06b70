package dev.culld.client;

import dev.culld.v1.AddImageRequest;
import dev.culld.v1.AddOutcome;
import dev.culld.v1.BatchGetThumbnailsRequest;
import dev.culld.v1.BatchGetThumbnailsResponse;
import dev.culld.v1.DeleteImagesRequest;
import dev.culld.v1.DeleteImagesResponse;
import dev.culld.v1.DuplicateGroup;
import dev.culld.v1.FindDuplicatesRequest;
import dev.culld.v1.FindDuplicatesResponse;
import dev.culld.v1.FindNeighboursRequest;
import dev.culld.v1.GetImageRequest;
import dev.culld.v1.Image;
import dev.culld.v1.ImageFilter;
import dev.culld.v1.ImageServiceGrpc;
import dev.culld.v1.ImportResult;
import dev.culld.v1.ImportSourcesRequest;
import dev.culld.v1.ListImagesRequest;
import dev.culld.v1.ListImagesResponse;
import dev.culld.v1.Neighbour;
import dev.culld.v1.Operation;
import dev.culld.v1.Thumbnail;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/** Adds images, answers what is known of them, and forgets them. */
public final class Images {
  /** Thumbnails asked for at a time: the most that the daemon gives. */
  private static final int THUMBNAILS_MAX = 100;
  /** Bytes of an image that any daemon takes, at most. */
  private static final long IMAGE_BYTES_MAX = 64L << 20;

  private final CulldClient client;

  Images(CulldClient client) {
    this.client = client;
  }

  /**
   * Adds images as they come: one result for each, in order of completion. A bad image, or one that can't be read, is a
   * result and never the end of it. Images are read on a thread of its own while there is room, see {@link AddOptions};
   * nothing is sent that nobody takes the results of.
   *
   * <p>Where the daemon stops or starts again, the images without a result are sent again: each has exactly one in the
   * end.
   *
   * <pre>{@code
   * try (var results = client.images().add(ImageSource.walk(folder), AddOptions.DEFAULT)) {
   *   results.forEach(result -> System.out.println(result.key() + " " + result.outcome().getStatus()));
   * }
   * }</pre>
   *
   * @param sources the images; closed at the end
   * @param options how to add them
   * @return the results, to be closed: that ends the adding where they are not read to the end
   * @throws CulldException (the stream, too) the daemon can't be reached, or refuses
   */
  public Stream<AddResult> add(Stream<? extends ImageSource> sources, AddOptions options) {
    return results(start(sources.iterator(), sources::close, options));
  }

  /**
   * Adds images as an iterator gives them; it may take its time. As {@link #add(Stream, AddOptions)} otherwise.
   *
   * @param sources the images
   * @param options how to add them
   * @return the results, to be closed
   */
  public Stream<AddResult> add(Iterator<? extends ImageSource> sources, AddOptions options) {
    return results(start(sources, () -> {}, options));
  }

  /**
   * Adds images, and counts what became of them. As {@link #add(Stream, AddOptions)} otherwise.
   *
   * @param sources the images; closed at the end
   * @param options how to add them
   * @return how many of each outcome, and the first problems
   */
  public AddSummary addAll(Stream<? extends ImageSource> sources, AddOptions options) {
    try (AddStream adding = start(sources.iterator(), sources::close, options)) {
      List<AddResult> problems = new ArrayList<>();
      while (adding.hasNext()) {
        AddResult result = adding.next();
        if (!result.isStored() && problems.size() < AddSummary.PROBLEMS_MAX) {
          problems.add(result);
        }
      }
      return new AddSummary(adding.progress(), List.copyOf(problems));
    }
  }

  /**
   * Adds every file under a directory, see {@link ImageSource#walk(Path)}, and counts what became of them.
   *
   * @param directory the directory, or a file
   * @return how many of each outcome, and the first problems
   */
  public AddSummary addAll(Path directory) {
    return addAll(ImageSource.walk(directory), AddOptions.DEFAULT);
  }

  /**
   * Adds many images in the background.
   *
   * @param sources the images; closed at the end
   * @param options how to add them; progress is told on the thread that adds
   * @return how many of each outcome, and the first problems; cancelling it ends the adding
   */
  public CompletableFuture<AddSummary> addAllAsync(Stream<? extends ImageSource> sources, AddOptions options) {
    CompletableFuture<AddSummary> future = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                future.complete(addAll(sources, options));
              } catch (RuntimeException failed) {
                future.completeExceptionally(failed);
              }
            },
            "culld-add-all");
    thread.setDaemon(true);
    future.whenComplete(
        (summary, error) -> {
          if (future.isCancelled()) {
            thread.interrupt();
          }
        });
    thread.start();
    return future;
  }

  private AddStream start(Iterator<? extends ImageSource> sources, Runnable close, AddOptions options) {
    return new AddStream(client.wire(), sources, close, options, sendableBytesMax()).start();
  }

  private static Stream<AddResult> results(AddStream adding) {
    return MessageStream.streamOf(adding).onClose(adding::close);
  }

  /** Bytes beyond which an image is not sent. A little more than the daemon takes is, so that it says so itself. */
  private long sendableBytesMax() {
    try {
      return Math.min(2 * client.serverInfo().getLimits().getImageBytesMax(), IMAGE_BYTES_MAX);
    } catch (PermissionDeniedException mayOnlyAdd) {
      return IMAGE_BYTES_MAX;
    }
  }

  /**
   * Adds one image, as an upload handler would.
   *
   * @param source the image
   * @return what became of it; one that is rejected is no exception
   * @throws IOException it can't be read
   */
  public AddOutcome addOne(ImageSource source) throws IOException {
    var request = AddImageRequest.newBuilder().setImage(source.read()).build();
    return client.call(ImageServiceGrpc.getAddImageMethod(), request).getOutcome();
  }

  /**
   * Has the daemon add what lies under directories of its own machine, which have to be among its allowed roots.
   *
   * @param paths absolute paths of directories or files, at most 100
   * @return the work
   */
  public OperationHandle<ImportResult> importSources(List<String> paths) {
    return importSources(ImportSourcesRequest.newBuilder().addAllPaths(paths).build());
  }

  /**
   * As {@link #importSources(List)}, with all that can be said.
   *
   * @param request what to import
   * @return the work
   */
  public OperationHandle<ImportResult> importSources(ImportSourcesRequest request) {
    var started = client.call(ImageServiceGrpc.getImportSourcesMethod(), request);
    return new OperationHandle<>(client, started.getOperation(), Operation::getImport);
  }

  /**
   * Answers one image.
   *
   * @param imageId which
   * @return the image, without its embedding
   * @throws NotFoundException there is none
   */
  public Image get(String imageId) {
    var request = GetImageRequest.newBuilder().setImageId(imageId).build();
    return client.call(ImageServiceGrpc.getGetImageMethod(), request).getImage();
  }

  /**
   * Lists all images in the order they were added.
   *
   * @return the images, asked for page by page as they are needed
   */
  public Stream<Image> list() {
    return list(ListImagesRequest.getDefaultInstance());
  }

  /**
   * Lists the images that match.
   *
   * @param filter which
   * @return the images, asked for page by page as they are needed
   */
  public Stream<Image> list(ImageFilter filter) {
    return list(ListImagesRequest.newBuilder().setFilter(filter).build());
  }

  /**
   * As {@link #list(ImageFilter)}, with all that can be said; with embeddings, for one.
   *
   * @param request which images
   * @return the images, asked for page by page as they are needed
   */
  public Stream<Image> list(ListImagesRequest request) {
    return Pages.of(
        client.wire(), ImageServiceGrpc.getListImagesMethod(), request, ListImagesResponse::getImagesList);
  }

  /**
   * Answers the thumbnails of any number of images.
   *
   * @param imageIds which; unknown ones are left out
   * @return JPEG files of at most 320 px on the long side, in the order asked, asked for as they are needed
   */
  public Stream<Thumbnail> thumbnails(Iterable<String> imageIds) {
    return MessageStream.streamOf(new Thumbnails(imageIds.iterator()));
  }

  /**
   * Deletes sources, and with its last source an image. Not undoable; files are never touched.
   *
   * @param filter which; one that sets nothing is refused
   * @return how many
   */
  public DeleteImagesResponse delete(ImageFilter filter) {
    return delete(DeleteImagesRequest.newBuilder().setFilter(filter).build());
  }

  /**
   * As {@link #delete(ImageFilter)}, with all that can be said; {@code validate_only} counts and deletes nothing.
   *
   * @param request which
   * @return how many
   */
  public DeleteImagesResponse delete(DeleteImagesRequest request) {
    return client.call(ImageServiceGrpc.getDeleteImagesMethod(), request);
  }

  /**
   * Answers the nearest images to one that is stored.
   *
   * @param imageId which
   * @param count how many, 1 to 1,000
   * @return the others, nearest first
   */
  public List<Neighbour> neighbours(String imageId, int count) {
    return neighbours(FindNeighboursRequest.newBuilder().setImageId(imageId).setK(count).build());
  }

  /**
   * Answers the nearest images to one that is stored, to bytes, or to a vector.
   *
   * @param request to what
   * @return the images, nearest first
   */
  public List<Neighbour> neighbours(FindNeighboursRequest request) {
    return client.call(ImageServiceGrpc.getFindNeighboursMethod(), request).getNeighboursList();
  }

  /**
   * Finds groups of near-duplicates, the image to keep first. Compares all pairs: half a minute for 50,000 images.
   *
   * @param request among which images, and how near
   * @return the groups, largest first, asked for page by page as they are needed
   */
  public Stream<DuplicateGroup> duplicates(FindDuplicatesRequest request) {
    return Pages.of(
        client.wire(), ImageServiceGrpc.getFindDuplicatesMethod(), request, FindDuplicatesResponse::getGroupsList);
  }

  /** Asks for as many at a time as the daemon gives, and again for what did not fit. */
  private final class Thumbnails implements Iterator<Thumbnail> {
    private final Iterator<String> ids;
    private List<String> remaining = List.of();
    private Iterator<Thumbnail> answered = List.<Thumbnail>of().iterator();

    Thumbnails(Iterator<String> ids) {
      this.ids = ids;
    }

    @Override
    public boolean hasNext() {
      while (!answered.hasNext() && (ids.hasNext() || !remaining.isEmpty())) {
        List<String> asked = new ArrayList<>(remaining);
        while (asked.size() < THUMBNAILS_MAX && ids.hasNext()) {
          asked.add(ids.next());
        }
        var request = BatchGetThumbnailsRequest.newBuilder().addAllImageIds(asked).build();
        BatchGetThumbnailsResponse answer = client.call(ImageServiceGrpc.getBatchGetThumbnailsMethod(), request);
        remaining = answer.getRemainingImageIdsList();
        if (remaining.size() >= asked.size()) {
          throw new ProtocolException("of " + asked.size() + " thumbnails none was answered");
        }
        answered = answer.getThumbnailsList().iterator();
      }
      return answered.hasNext();
    }

    @Override
    public Thumbnail next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return answered.next();
    }
  }
}
