package dev.culld.client;

import dev.culld.v1.ActivateClusteringRequest;
import dev.culld.v1.Cluster;
import dev.culld.v1.Clustering;
import dev.culld.v1.ClusteringServiceGrpc;
import dev.culld.v1.GetClusterRequest;
import dev.culld.v1.GetClusteringRequest;
import dev.culld.v1.GetReachabilityRequest;
import dev.culld.v1.GetReachabilityResponse;
import dev.culld.v1.ListClusteringsRequest;
import dev.culld.v1.ListClusteringsResponse;
import dev.culld.v1.ListClustersRequest;
import dev.culld.v1.ListClustersResponse;
import dev.culld.v1.ListLiveClustersRequest;
import dev.culld.v1.ListLiveClustersResponse;
import dev.culld.v1.ListLiveMembersRequest;
import dev.culld.v1.ListMembersRequest;
import dev.culld.v1.ListMembersResponse;
import dev.culld.v1.LiveCluster;
import dev.culld.v1.Member;
import dev.culld.v1.Operation;
import dev.culld.v1.ParameterCard;
import dev.culld.v1.Parameters;
import dev.culld.v1.ReachabilityPoint;
import dev.culld.v1.ReclusterRequest;
import dev.culld.v1.SuggestParametersRequest;
import java.util.List;
import java.util.stream.Stream;

/** Groups a collection's images, and answers the groups. Clustering 0 is the active one. */
public final class Clusterings {
  private final CulldClient client;

  Clusterings(CulldClient client) {
    this.client = client;
  }

  /**
   * Groups all images anew, with algorithm and parameters from the data.
   *
   * @return the work
   */
  public OperationHandle<Clustering> recluster() {
    return recluster(ReclusterRequest.getDefaultInstance());
  }

  /**
   * Groups all images anew.
   *
   * @param parameters the algorithm; what it leaves out is derived from the data
   * @return the work
   */
  public OperationHandle<Clustering> recluster(Parameters parameters) {
    return recluster(ReclusterRequest.newBuilder().setParameters(parameters).build());
  }

  /**
   * As {@link #recluster(Parameters)}, with all that can be said.
   *
   * @param request how
   * @return the work
   * @throws FailedPreconditionException one is running ({@code OPERATION_RUNNING})
   */
  public OperationHandle<Clustering> recluster(ReclusterRequest request) {
    var started = client.call(ClusteringServiceGrpc.getReclusterMethod(), request);
    return new OperationHandle<>(client, started.getOperation(), Operation::getClustering);
  }

  /**
   * Looks at all images for parameters, without clustering them. Takes about as long as a clustering.
   *
   * @param request how
   * @return what was seen, and what follows
   */
  public ParameterCard suggest(SuggestParametersRequest request) {
    return client.call(ClusteringServiceGrpc.getSuggestParametersMethod(), request).getCard();
  }

  /**
   * Lists the clusterings that are kept, newest first.
   *
   * @return the clusterings
   */
  public Stream<Clustering> list() {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getListClusteringsMethod(),
        ListClusteringsRequest.getDefaultInstance(),
        ListClusteringsResponse::getClusteringsList);
  }

  /**
   * Answers one clustering with its explanation.
   *
   * @param clusteringId which; 0 means the active one
   * @return the clustering
   * @throws NotFoundException it is not kept
   */
  public Clustering get(long clusteringId) {
    var request = GetClusteringRequest.newBuilder().setClusteringId(clusteringId).build();
    return client.call(ClusteringServiceGrpc.getGetClusteringMethod(), request).getClustering();
  }

  /**
   * Makes another clustering the active one. Labels stay as they are.
   *
   * @param clusteringId which
   * @return the clustering
   */
  public Clustering activate(long clusteringId) {
    var request = ActivateClusteringRequest.newBuilder().setClusteringId(clusteringId).build();
    return client.call(ClusteringServiceGrpc.getActivateClusteringMethod(), request).getClustering();
  }

  /**
   * Lists the clusters of the active clustering, largest first.
   *
   * @return the clusters, asked for page by page as they are needed
   */
  public Stream<Cluster> clusters() {
    return clusters(0);
  }

  /**
   * Lists the clusters of a clustering, largest first.
   *
   * @param clusteringId which; 0 means the active one
   * @return the clusters, asked for page by page as they are needed
   */
  public Stream<Cluster> clusters(long clusteringId) {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getListClustersMethod(),
        ListClustersRequest.newBuilder().setClusteringId(clusteringId).build(),
        ListClustersResponse::getClustersList);
  }

  /**
   * Answers one cluster.
   *
   * @param clusteringId of which clustering; 0 means the active one
   * @param clusterId which
   * @return the cluster
   */
  public Cluster cluster(long clusteringId, long clusterId) {
    var request = GetClusterRequest.newBuilder().setClusteringId(clusteringId).setClusterId(clusterId).build();
    return client.call(ClusteringServiceGrpc.getGetClusterMethod(), request).getCluster();
  }

  /**
   * Lists the members of a cluster of the active clustering, nearest to the medoid first.
   *
   * @param clusterId which
   * @return the members, asked for page by page as they are needed
   */
  public Stream<Member> members(long clusterId) {
    return members(ListMembersRequest.newBuilder().setClusterId(clusterId).build());
  }

  /**
   * Lists the images of the active clustering that are in no cluster.
   *
   * @return the noise, asked for page by page as it is needed
   */
  public Stream<Member> noise() {
    return members(ListMembersRequest.getDefaultInstance());
  }

  /**
   * Lists the members of a cluster, or the noise, of any clustering.
   *
   * @param request of which; without a cluster id the noise
   * @return the members, asked for page by page as they are needed
   */
  public Stream<Member> members(ListMembersRequest request) {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getListMembersMethod(),
        request,
        ListMembersResponse::getMembersList);
  }

  /**
   * Lists the clusters of the active clustering as adds and deletes since have left them. Only one by DBSCAN is followed
   * so.
   *
   * @return the clusters, largest first
   * @throws FailedPreconditionException none is followed ({@code NOT_LIVE}), or the data changed while listing
   */
  public Stream<LiveCluster> liveClusters() {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getListLiveClustersMethod(),
        ListLiveClustersRequest.getDefaultInstance(),
        ListLiveClustersResponse::getClustersList);
  }

  /**
   * Lists the images of such a cluster, or the noise, in the order they were added.
   *
   * @param request of which; without a cluster id the noise
   * @return the image ids
   * @throws FailedPreconditionException none is followed ({@code NOT_LIVE}), or the data changed while listing
   */
  public Stream<String> liveMembers(ListLiveMembersRequest request) {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getListLiveMembersMethod(),
        request,
        answer -> List.copyOf(answer.getImageIdsList()));
  }

  /**
   * Answers the reachability plot of an OPTICS clustering.
   *
   * @param clusteringId which; 0 means the active one
   * @return its bars in cluster order, asked for page by page as they are needed
   */
  public Stream<ReachabilityPoint> reachability(long clusteringId) {
    return Pages.of(
        client.wire(),
        ClusteringServiceGrpc.getGetReachabilityMethod(),
        GetReachabilityRequest.newBuilder().setClusteringId(clusteringId).build(),
        GetReachabilityResponse::getPointsList);
  }
}
