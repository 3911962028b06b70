package culld

import (
	"context"
	"iter"

	"culld.dev/go/culld/culldpb"
)

// Active is the id that means the active clustering.
const Active uint64 = 0

// Recluster clusters all images anew; wait for the clustering. Nil: algorithm and parameters from the data.
func (c *Client) Recluster(ctx context.Context, how *culldpb.ReclusterRequest) (*Operation[*culldpb.Clustering], error) {
	answer, err := c.ClusteringService.Recluster(ctx, fill(c, how))
	if err != nil {
		return nil, err
	}
	return operation(c, answer.GetOperation(), (*culldpb.Operation).GetClustering), nil
}

// SuggestParameters is what the images say of themselves, and the parameters that follow.
func (c *Client) SuggestParameters(ctx context.Context, how *culldpb.SuggestParametersRequest) (*culldpb.ParameterCard, error) {
	answer, err := c.ClusteringService.SuggestParameters(ctx, fill(c, how))
	return answer.GetCard(), err
}

// Clusterings gives the clusterings that are kept, newest first.
func (c *Client) Clusterings(ctx context.Context) iter.Seq2[*culldpb.Clustering, error] {
	return entries("ListClusterings", func(token string) ([]*culldpb.Clustering, string, error) {
		page, err := c.ClusteringService.ListClusterings(ctx, &culldpb.ListClusteringsRequest{Collection: c.collection, PageSize: pageSize, PageToken: token})
		return page.GetClusterings(), page.GetNextPageToken(), err
	})
}

// Clustering is one clustering, or the [Active] one.
func (c *Client) Clustering(ctx context.Context, clusteringID uint64) (*culldpb.Clustering, error) {
	answer, err := c.ClusteringService.GetClustering(ctx, &culldpb.GetClusteringRequest{Collection: c.collection, ClusteringId: clusteringID})
	return answer.GetClustering(), err
}

// ActivateClustering makes another clustering the active one.
func (c *Client) ActivateClustering(ctx context.Context, clusteringID uint64) (*culldpb.Clustering, error) {
	answer, err := c.ClusteringService.ActivateClustering(ctx, fill(c, &culldpb.ActivateClusteringRequest{ClusteringId: clusteringID}))
	return answer.GetClustering(), err
}

// Clusters gives the clusters of a clustering, or of the [Active] one, largest first.
func (c *Client) Clusters(ctx context.Context, clusteringID uint64) iter.Seq2[*culldpb.Cluster, error] {
	return entries("ListClusters", func(token string) ([]*culldpb.Cluster, string, error) {
		page, err := c.ClusteringService.ListClusters(ctx, &culldpb.ListClustersRequest{
			Collection: c.collection, ClusteringId: clusteringID, PageSize: pageSize, PageToken: token,
		})
		return page.GetClusters(), page.GetNextPageToken(), err
	})
}

// Cluster is one cluster of a clustering, or of the [Active] one.
func (c *Client) Cluster(ctx context.Context, clusteringID, clusterID uint64) (*culldpb.Cluster, error) {
	answer, err := c.ClusteringService.GetCluster(ctx, &culldpb.GetClusterRequest{
		Collection: c.collection, ClusteringId: clusteringID, ClusterId: clusterID,
	})
	return answer.GetCluster(), err
}

// Members gives the members of a cluster, nearest to its medoid first.
func (c *Client) Members(ctx context.Context, clusteringID, clusterID uint64) iter.Seq2[*culldpb.Member, error] {
	return c.members(ctx, clusteringID, &clusterID)
}

// Noise gives the images in no cluster.
func (c *Client) Noise(ctx context.Context, clusteringID uint64) iter.Seq2[*culldpb.Member, error] {
	return c.members(ctx, clusteringID, nil)
}

func (c *Client) members(ctx context.Context, clusteringID uint64, clusterID *uint64) iter.Seq2[*culldpb.Member, error] {
	return entries("ListMembers", func(token string) ([]*culldpb.Member, string, error) {
		page, err := c.ClusteringService.ListMembers(ctx, &culldpb.ListMembersRequest{
			Collection: c.collection, ClusteringId: clusteringID, ClusterId: clusterID, PageSize: pageSize, PageToken: token,
		})
		return page.GetMembers(), page.GetNextPageToken(), err
	})
}

// LiveClusters gives the clusters of a followed clustering as adds and deletes have left them, largest first.
func (c *Client) LiveClusters(ctx context.Context) iter.Seq2[*culldpb.LiveCluster, error] {
	return entries("ListLiveClusters", func(token string) ([]*culldpb.LiveCluster, string, error) {
		page, err := c.ClusteringService.ListLiveClusters(ctx, &culldpb.ListLiveClustersRequest{Collection: c.collection, PageSize: pageSize, PageToken: token})
		return page.GetClusters(), page.GetNextPageToken(), err
	})
}

// LiveMembers gives the images of such a cluster by their ids.
func (c *Client) LiveMembers(ctx context.Context, clusterID uint64) iter.Seq2[string, error] {
	return c.liveMembers(ctx, &clusterID)
}

// LiveNoise gives the images in no such cluster by their ids.
func (c *Client) LiveNoise(ctx context.Context) iter.Seq2[string, error] {
	return c.liveMembers(ctx, nil)
}

func (c *Client) liveMembers(ctx context.Context, clusterID *uint64) iter.Seq2[string, error] {
	return entries("ListLiveMembers", func(token string) ([]string, string, error) {
		page, err := c.ClusteringService.ListLiveMembers(ctx, &culldpb.ListLiveMembersRequest{
			Collection: c.collection, ClusterId: clusterID, PageSize: pageSize, PageToken: token,
		})
		return page.GetImageIds(), page.GetNextPageToken(), err
	})
}

// Reachability gives the reachability plot of an OPTICS clustering, or of the [Active] one, in cluster order.
func (c *Client) Reachability(ctx context.Context, clusteringID uint64) iter.Seq2[*culldpb.ReachabilityPoint, error] {
	return entries("GetReachability", func(token string) ([]*culldpb.ReachabilityPoint, string, error) {
		page, err := c.ClusteringService.GetReachability(ctx, &culldpb.GetReachabilityRequest{
			Collection: c.collection, ClusteringId: clusteringID, PageSize: pageSize, PageToken: token,
		})
		return page.GetPoints(), page.GetNextPageToken(), err
	})
}
