package dev.culld.client;

import dev.culld.v1.BatchGetDecisionsRequest;
import dev.culld.v1.BatchGetDecisionsResponse;
import dev.culld.v1.ClusterTarget;
import dev.culld.v1.Decision;
import dev.culld.v1.DecisionServiceGrpc;
import dev.culld.v1.EvaluateRequest;
import dev.culld.v1.EvaluateResponse;
import dev.culld.v1.ExplainDecisionRequest;
import dev.culld.v1.ExplainDecisionResponse;
import dev.culld.v1.FetchDecisionsRequest;
import dev.culld.v1.ImageFilter;
import dev.culld.v1.ImagesTarget;
import dev.culld.v1.ListEventsRequest;
import dev.culld.v1.ListEventsResponse;
import dev.culld.v1.LogEntry;
import dev.culld.v1.PreviewVerdictRequest;
import dev.culld.v1.PreviewVerdictResponse;
import dev.culld.v1.SetVerdictRequest;
import dev.culld.v1.SetVerdictResponse;
import dev.culld.v1.Side;
import dev.culld.v1.UndoEventRequest;
import dev.culld.v1.UndoEventResponse;
import dev.culld.v1.WatchDecisionsRequest;
import java.util.List;
import java.util.stream.Stream;

/** Takes verdicts, and answers a decision for every image. */
public final class Decisions {
  private final CulldClient client;

  Decisions(CulldClient client) {
    this.client = client;
  }

  /**
   * Says that images are needed.
   *
   * @param imageIds which, at most 10,000
   * @return what it changed
   * @throws NotFoundException one of them is not there
   */
  public SetVerdictResponse keep(List<String> imageIds) {
    return setVerdict(ofImages(Side.SIDE_KEEP, imageIds));
  }

  /**
   * Says that images are not needed; no file is touched.
   *
   * @param imageIds which, at most 10,000
   * @return what it changed
   * @throws NotFoundException one of them is not there
   */
  public SetVerdictResponse discard(List<String> imageIds) {
    return setVerdict(ofImages(Side.SIDE_DISCARD, imageIds));
  }

  /**
   * Says of a cluster of the active clustering what its images are.
   *
   * @param side keep or discard
   * @param clusterId which
   * @param exceptions members of the other side
   * @return what it changed
   */
  public SetVerdictResponse judgeCluster(Side side, long clusterId, String... exceptions) {
    return setVerdict(
        SetVerdictRequest.newBuilder()
            .setSide(side)
            .setCluster(ClusterTarget.newBuilder().setClusterId(clusterId))
            .addAllExceptionImageIds(List.of(exceptions))
            .build());
  }

  /**
   * Says keep or discard, with all that can be said. Durable when it returns.
   *
   * @param request what is said
   * @return what it changed
   */
  public SetVerdictResponse setVerdict(SetVerdictRequest request) {
    return client.call(DecisionServiceGrpc.getSetVerdictMethod(), request);
  }

  /**
   * Says what a verdict, an answer or an undo would change, and changes nothing.
   *
   * @param request what would be said
   * @return what would change
   */
  public PreviewVerdictResponse preview(PreviewVerdictRequest request) {
    return client.call(DecisionServiceGrpc.getPreviewVerdictMethod(), request);
  }

  /**
   * Takes a verdict, an answer or an undo back.
   *
   * @param eventSequence its place in the log
   * @return the undo's own place in the log; undo that to redo
   * @throws FailedPreconditionException it can't be undone, or is ({@code NOT_UNDOABLE}, {@code ALREADY_UNDONE})
   */
  public UndoEventResponse undo(long eventSequence) {
    var request = UndoEventRequest.newBuilder().setEventSequence(eventSequence).build();
    return client.call(DecisionServiceGrpc.getUndoEventMethod(), request);
  }

  /**
   * Answers the decision of one image.
   *
   * @param imageId which
   * @return the decision
   * @throws NotFoundException it is not there
   */
  public Decision get(String imageId) {
    return explain(imageId).getDecision();
  }

  /**
   * Answers decisions of images named by id or by the key of a source.
   *
   * @param request which, at most 1,000
   * @return the decisions in the order asked, and what is not known
   */
  public BatchGetDecisionsResponse get(BatchGetDecisionsRequest request) {
    return client.call(DecisionServiceGrpc.getBatchGetDecisionsMethod(), request);
  }

  /**
   * Answers everything that led to one decision.
   *
   * @param imageId of which image
   * @return the explanation
   * @throws NotFoundException it is not there
   */
  public ExplainDecisionResponse explain(String imageId) {
    var request = ExplainDecisionRequest.newBuilder().setImageId(imageId).build();
    return client.call(DecisionServiceGrpc.getExplainDecisionMethod(), request);
  }

  /**
   * Streams the decisions of all images.
   *
   * @return the decisions, to be closed
   */
  public DecisionFetch fetch() {
    return fetch(FetchDecisionsRequest.getDefaultInstance());
  }

  /**
   * Streams the decisions of the images that match.
   *
   * @param filter of which images
   * @return the decisions, to be closed
   */
  public DecisionFetch fetch(ImageFilter filter) {
    return fetch(FetchDecisionsRequest.newBuilder().setFilter(filter).build());
  }

  /**
   * Streams what changed since a token, each image once, with what was removed.
   *
   * @param token of an earlier fetch or watch
   * @return the decisions, to be closed
   * @throws OutOfRangeException (when it is read) the token can't be gone on from: fetch everything
   */
  public DecisionFetch fetchSince(String token) {
    return fetch(FetchDecisionsRequest.newBuilder().setSince(token).build());
  }

  /**
   * Streams decisions, with all that can be said.
   *
   * @param request of which images, and how much
   * @return the decisions, to be closed
   */
  public DecisionFetch fetch(FetchDecisionsRequest request) {
    return new DecisionFetch(client.wire().stream(DecisionServiceGrpc.getFetchDecisionsMethod(), request));
  }

  /**
   * Tells all decisions, and then each change as it happens: what a service needs that keeps a copy of them.
   *
   * @return the events, to be closed; the first one is a {@link DecisionEvent.Reset}
   */
  public DecisionWatch follow() {
    return follow(WatchDecisionsRequest.getDefaultInstance());
  }

  /**
   * As {@link #follow()}, with all that can be said.
   *
   * @param request of which images, and how much; its token is ignored
   * @return the events, to be closed; the first one is a {@link DecisionEvent.Reset}
   */
  public DecisionWatch follow(WatchDecisionsRequest request) {
    return new DecisionWatch(client.wire(), request, true);
  }

  /**
   * Tells each change from a token on. Where it can't be gone on from, everything is told anew.
   *
   * @param token of a {@link DecisionEvent.Checkpoint}, or {@link DecisionFetch#token()}
   * @return the events, to be closed
   */
  public DecisionWatch watchSince(String token) {
    return watch(WatchDecisionsRequest.newBuilder().setSince(token).build());
  }

  /**
   * Tells each change, with all that can be said.
   *
   * @param request of which images, how much, and from which token; without one, what changes from now on
   * @return the events, to be closed
   */
  public DecisionWatch watch(WatchDecisionsRequest request) {
    return new DecisionWatch(client.wire(), request, false);
  }

  /**
   * Measures the decisions against true labels.
   *
   * @param request the labels, at most 200,000, and rates
   * @return how good they are
   */
  public EvaluateResponse evaluate(EvaluateRequest request) {
    return client.call(DecisionServiceGrpc.getEvaluateMethod(), request);
  }

  /**
   * Lists what was said and done, newest first.
   *
   * @return the log, asked for page by page as it is needed
   */
  public Stream<LogEntry> events() {
    return events(ListEventsRequest.getDefaultInstance());
  }

  /**
   * Lists some of what was said and done, newest first.
   *
   * @param request by whom, of which kind, and when
   * @return the log, asked for page by page as it is needed
   */
  public Stream<LogEntry> events(ListEventsRequest request) {
    return Pages.of(
        client.wire(), DecisionServiceGrpc.getListEventsMethod(), request, ListEventsResponse::getEventsList);
  }

  private static SetVerdictRequest ofImages(Side side, List<String> imageIds) {
    var images = ImagesTarget.newBuilder().addAllImageIds(imageIds);
    return SetVerdictRequest.newBuilder().setSide(side).setImages(images).build();
  }
}
