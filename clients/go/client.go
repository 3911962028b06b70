package culld

import (
	"context"
	"errors"
	"iter"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"culld.dev/go/culld/culldpb"
)

const (
	// pageSize is the most that the daemon gives.
	pageSize = 1000
	// thumbnailsPerCall is the most that may be asked for.
	thumbnailsPerCall = 100
)

// Client is a daemon, and the collection of it that is worked on. Safe for many goroutines; one per process is enough.
//
// The services are the generated clients, for what has no method here; token, retries, request ids, deadlines and errors
// are the same.
type Client struct {
	AdminService      culldpb.AdminServiceClient
	ClusteringService culldpb.ClusteringServiceClient
	CollectionService culldpb.CollectionServiceClient
	DecisionService   culldpb.DecisionServiceClient
	ImageService      culldpb.ImageServiceClient

	conn       *grpc.ClientConn
	collection string
	actor      string
	retry      RetryPolicy
}

func newClient(conn *grpc.ClientConn, s *settings) *Client {
	return &Client{
		AdminService:      culldpb.NewAdminServiceClient(conn),
		ClusteringService: culldpb.NewClusteringServiceClient(conn),
		CollectionService: culldpb.NewCollectionServiceClient(conn),
		DecisionService:   culldpb.NewDecisionServiceClient(conn),
		ImageService:      culldpb.NewImageServiceClient(conn),
		conn:              conn,
		collection:        s.collection,
		actor:             s.actor,
		retry:             s.retry,
	}
}

// In is the same connection, at work on another collection.
func (c *Client) In(collection string) *Client {
	other := *c
	other.collection = collection
	return &other
}

// Collection is the collection worked on; empty means "default".
func (c *Client) Collection() string { return c.collection }

// Close closes the connection, that of clients made by In as well.
func (c *Client) Close() error { return c.conn.Close() }

// fill is a request with the collection and the actor of the client, where it names none; nil is an empty one.
func fill[M interface {
	*T
	proto.Message
}, T any](c *Client, request M) M {
	if request == nil {
		request = new(T)
	}
	filled := withDefault(request, "collection", func() string { return c.collection })
	return withDefault(filled, "actor", func() string { return c.actor }).(M)
}

// entries gives the entries of a listing; a page is asked for when the one before was taken.
func entries[T any](method string, ask func(pageToken string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for token := ""; ; {
			page, next, err := ask(token)
			if err == nil && next != "" && next == token {
				err = protocolError(method, "a page that says it is followed by itself")
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// Collect gathers what an iterator gives, up to its first error.
func Collect[T any](entries iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for entry, err := range entries {
		if err != nil {
			return all, err
		}
		all = append(all, entry)
	}
	return all, nil
}

// Image is one image.
func (c *Client) Image(ctx context.Context, imageID string) (*culldpb.Image, error) {
	answer, err := c.ImageService.GetImage(ctx, &culldpb.GetImageRequest{Collection: c.collection, ImageId: imageID})
	return answer.GetImage(), err
}

// Images gives images in the order they were added. The request says which, and whether with embeddings; nil: all.
func (c *Client) Images(ctx context.Context, which *culldpb.ListImagesRequest) iter.Seq2[*culldpb.Image, error] {
	request := proto.CloneOf(fill(c, which))
	request.PageSize = pageSize
	return entries("ListImages", func(token string) ([]*culldpb.Image, string, error) {
		request.PageToken = token
		page, err := c.ImageService.ListImages(ctx, request)
		return page.GetImages(), page.GetNextPageToken(), err
	})
}

// Thumbnails gives small pictures (JPEG, at most 320 px on the long side) of any number of images; unknown ids are left
// out.
func (c *Client) Thumbnails(ctx context.Context, imageIDs ...string) iter.Seq2[*culldpb.Thumbnail, error] {
	return func(yield func(*culldpb.Thumbnail, error) bool) {
		for chunk := range slices.Chunk(imageIDs, thumbnailsPerCall) {
			for left := chunk; len(left) > 0; {
				answer, err := c.ImageService.BatchGetThumbnails(ctx, &culldpb.BatchGetThumbnailsRequest{Collection: c.collection, ImageIds: left})
				if err == nil && len(answer.GetRemainingImageIds()) >= len(left) {
					err = protocolError("BatchGetThumbnails", "an answer without thumbnails")
				}
				if err != nil {
					yield(nil, err)
					return
				}
				for _, thumbnail := range answer.GetThumbnails() {
					if !yield(thumbnail, nil) {
						return
					}
				}
				left = answer.GetRemainingImageIds()
			}
		}
	}
}

// DeleteImages deletes images, or with ValidateOnly says how many it would; the caller's files are never touched. Not
// undoable.
func (c *Client) DeleteImages(ctx context.Context, which *culldpb.DeleteImagesRequest) (*culldpb.DeleteImagesResponse, error) {
	return c.ImageService.DeleteImages(ctx, fill(c, which))
}

// Neighbours are the images nearest to one that is stored, to bytes that are not, or to a vector.
func (c *Client) Neighbours(ctx context.Context, of *culldpb.FindNeighboursRequest) (*culldpb.FindNeighboursResponse, error) {
	return c.ImageService.FindNeighbours(ctx, fill(c, of))
}

// Duplicates gives groups of near-duplicates, the one to keep first in each. Nil: among all images.
func (c *Client) Duplicates(ctx context.Context, among *culldpb.FindDuplicatesRequest) iter.Seq2[*culldpb.DuplicateGroup, error] {
	request := proto.CloneOf(fill(c, among))
	request.PageSize = pageSize
	return entries("FindDuplicates", func(token string) ([]*culldpb.DuplicateGroup, string, error) {
		request.PageToken = token
		page, err := c.ImageService.FindDuplicates(ctx, request)
		return page.GetGroups(), page.GetNextPageToken(), err
	})
}

// ImportSources has the daemon add what lies under directories of its own machine.
func (c *Client) ImportSources(ctx context.Context, paths []string, tags ...string) (*Operation[*culldpb.ImportResult], error) {
	answer, err := c.ImageService.ImportSources(ctx, &culldpb.ImportSourcesRequest{Collection: c.collection, Paths: paths, Tags: tags})
	if err != nil {
		return nil, err
	}
	return operation(c, answer.GetOperation(), (*culldpb.Operation).GetImport), nil
}

// SetVerdict says keep or discard of a cluster, with exceptions, or of images. Durable when it returns.
func (c *Client) SetVerdict(ctx context.Context, verdict *culldpb.SetVerdictRequest) (*culldpb.SetVerdictResponse, error) {
	return c.DecisionService.SetVerdict(ctx, fill(c, verdict))
}

// KeepImages says keep of these images.
func (c *Client) KeepImages(ctx context.Context, imageIDs ...string) (*culldpb.SetVerdictResponse, error) {
	return c.SetVerdict(ctx, ofImages(culldpb.Side_SIDE_KEEP, imageIDs))
}

// DiscardImages says discard of these images.
func (c *Client) DiscardImages(ctx context.Context, imageIDs ...string) (*culldpb.SetVerdictResponse, error) {
	return c.SetVerdict(ctx, ofImages(culldpb.Side_SIDE_DISCARD, imageIDs))
}

// KeepCluster says keep of a cluster of the active clustering, but for the exceptions.
func (c *Client) KeepCluster(ctx context.Context, clusterID uint64, exceptions ...string) (*culldpb.SetVerdictResponse, error) {
	return c.SetVerdict(ctx, ofCluster(culldpb.Side_SIDE_KEEP, clusterID, exceptions))
}

// DiscardCluster says discard of a cluster of the active clustering, but for the exceptions.
func (c *Client) DiscardCluster(ctx context.Context, clusterID uint64, exceptions ...string) (*culldpb.SetVerdictResponse, error) {
	return c.SetVerdict(ctx, ofCluster(culldpb.Side_SIDE_DISCARD, clusterID, exceptions))
}

func ofImages(side culldpb.Side, imageIDs []string) *culldpb.SetVerdictRequest {
	target := &culldpb.SetVerdictRequest_Images{Images: &culldpb.ImagesTarget{ImageIds: imageIDs}}
	return &culldpb.SetVerdictRequest{Side: side, Target: target}
}

func ofCluster(side culldpb.Side, clusterID uint64, exceptions []string) *culldpb.SetVerdictRequest {
	target := &culldpb.SetVerdictRequest_Cluster{Cluster: &culldpb.ClusterTarget{ClusterId: &clusterID}}
	return &culldpb.SetVerdictRequest{Side: side, Target: target, ExceptionImageIds: exceptions}
}

// Preview says what a verdict, an answer or an undo would change.
func (c *Client) Preview(ctx context.Context, what *culldpb.PreviewVerdictRequest) (*culldpb.PreviewVerdictResponse, error) {
	return c.DecisionService.PreviewVerdict(ctx, fill(c, what))
}

// Undo takes a verdict, an answer or an undo back.
func (c *Client) Undo(ctx context.Context, eventSequence uint64) (*culldpb.UndoEventResponse, error) {
	return c.DecisionService.UndoEvent(ctx, fill(c, &culldpb.UndoEventRequest{EventSequence: eventSequence}))
}

// Decision is the decision of one image in full; nil where it is not known.
func (c *Client) Decision(ctx context.Context, imageID string) (*culldpb.Decision, error) {
	request := &culldpb.BatchGetDecisionsRequest{ImageIds: []string{imageID}, View: culldpb.DecisionView_DECISION_VIEW_FULL}
	answer, err := c.DecisionsOf(ctx, request)
	if err != nil || len(answer.GetDecisions()) == 0 {
		return nil, err
	}
	return answer.GetDecisions()[0], nil
}

// DecisionsOf are the decisions of any number of images by id or source key.
func (c *Client) DecisionsOf(ctx context.Context, which *culldpb.BatchGetDecisionsRequest) (*culldpb.BatchGetDecisionsResponse, error) {
	which = fill(c, which)
	all := &culldpb.BatchGetDecisionsResponse{}
	ask := func(imageIDs, keys []string) error {
		answer, err := c.DecisionService.BatchGetDecisions(ctx, &culldpb.BatchGetDecisionsRequest{
			Collection: which.GetCollection(), View: which.GetView(), ImageIds: imageIDs, SourceKeys: keys,
		})
		proto.Merge(all, answer)
		return err
	}
	for chunk := range slices.Chunk(which.GetImageIds(), pageSize) {
		if err := ask(chunk, nil); err != nil {
			return nil, err
		}
	}
	for chunk := range slices.Chunk(which.GetSourceKeys(), pageSize) {
		if err := ask(nil, chunk); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Explain is everything that led to one decision.
func (c *Client) Explain(ctx context.Context, imageID string) (*culldpb.ExplainDecisionResponse, error) {
	return c.DecisionService.ExplainDecision(ctx, &culldpb.ExplainDecisionRequest{Collection: c.collection, ImageId: imageID})
}

// Events gives what was said and done, newest first. Nil: all of it.
func (c *Client) Events(ctx context.Context, which *culldpb.ListEventsRequest) iter.Seq2[*culldpb.LogEntry, error] {
	if which == nil {
		which = &culldpb.ListEventsRequest{}
	}
	// The actor here is whose events are asked for.
	request := proto.CloneOf(which)
	if request.Collection == "" {
		request.Collection = c.collection
	}
	request.PageSize = pageSize
	return entries("ListEvents", func(token string) ([]*culldpb.LogEntry, string, error) {
		request.PageToken = token
		page, err := c.DecisionService.ListEvents(ctx, request)
		return page.GetEvents(), page.GetNextPageToken(), err
	})
}

// Evaluate measures the decisions against true labels.
func (c *Client) Evaluate(ctx context.Context, labels *culldpb.EvaluateRequest) (*culldpb.EvaluateResponse, error) {
	return c.DecisionService.Evaluate(ctx, fill(c, labels))
}

// ServerInfo is version, limits and features.
func (c *Client) ServerInfo(ctx context.Context) (*culldpb.GetServerInfoResponse, error) {
	return c.AdminService.GetServerInfo(ctx, &culldpb.GetServerInfoRequest{})
}

// Stats are counts and sizes.
func (c *Client) Stats(ctx context.Context) (*culldpb.GetStatsResponse, error) {
	return c.AdminService.GetStats(ctx, &culldpb.GetStatsRequest{Collection: c.collection})
}

// Verify looks at every record of the store.
func (c *Client) Verify(ctx context.Context) (*Operation[*culldpb.VerifyReport], error) {
	answer, err := c.AdminService.Verify(ctx, &culldpb.VerifyRequest{})
	if err != nil {
		return nil, err
	}
	return operation(c, answer.GetOperation(), (*culldpb.Operation).GetVerify), nil
}

// Operation is an operation by its name, to look at, wait for or cancel.
func (c *Client) Operation(ctx context.Context, name string) (*Operation[*culldpb.Operation], error) {
	answer, err := c.AdminService.GetOperation(ctx, &culldpb.GetOperationRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return operation(c, answer.GetOperation(), func(done *culldpb.Operation) *culldpb.Operation { return done }), nil
}

// Operations gives the operations of a collection, newest first; of all where it is empty.
func (c *Client) Operations(ctx context.Context, collection string) iter.Seq2[*culldpb.Operation, error] {
	return entries("ListOperations", func(token string) ([]*culldpb.Operation, string, error) {
		page, err := c.AdminService.ListOperations(ctx, &culldpb.ListOperationsRequest{Collection: collection, PageSize: pageSize, PageToken: token})
		return page.GetOperations(), page.GetNextPageToken(), err
	})
}

func operation[T comparable](c *Client, state *culldpb.Operation, result func(*culldpb.Operation) T) *Operation[T] {
	return &Operation[T]{client: c, state: state, result: func(done *culldpb.Operation) (T, bool) {
		var none T
		found := result(done)
		return found, found != none
	}}
}

// CreateCollection makes an empty collection: 1 to 64 characters of a-z, 0-9, '-' and '_'. Work in it by In.
func (c *Client) CreateCollection(ctx context.Context, name string) (*culldpb.Collection, error) {
	answer, err := c.CollectionService.CreateCollection(ctx, &culldpb.CreateCollectionRequest{Collection: name})
	return answer.GetCollection(), err
}

// CollectionInfo is the collection worked on.
func (c *Client) CollectionInfo(ctx context.Context) (*culldpb.Collection, error) {
	answer, err := c.CollectionService.GetCollection(ctx, &culldpb.GetCollectionRequest{Collection: c.collection})
	return answer.GetCollection(), err
}

// Collections gives all collections by name.
func (c *Client) Collections(ctx context.Context) iter.Seq2[*culldpb.Collection, error] {
	return entries("ListCollections", func(token string) ([]*culldpb.Collection, string, error) {
		page, err := c.CollectionService.ListCollections(ctx, &culldpb.ListCollectionsRequest{PageSize: pageSize, PageToken: token})
		return page.GetCollections(), page.GetNextPageToken(), err
	})
}

// DeleteCollection deletes a collection with its images, verdicts and log, and says how many images went. Not undoable.
func (c *Client) DeleteCollection(ctx context.Context, name string) (uint64, error) {
	if name == "" {
		return 0, errors.New("culld: which collection is to be deleted?")
	}
	answer, err := c.CollectionService.DeleteCollection(ctx, &culldpb.DeleteCollectionRequest{Collection: name})
	return answer.GetImages(), err
}

// Policy is the policy in force.
func (c *Client) Policy(ctx context.Context) (*culldpb.Policy, error) {
	answer, err := c.CollectionService.GetPolicy(ctx, &culldpb.GetPolicyRequest{Collection: c.collection})
	return answer.GetPolicy(), err
}

// SetPolicy changes what is given of the policy, and answers the policy now in force.
func (c *Client) SetPolicy(ctx context.Context, policy *culldpb.Policy) (*culldpb.Policy, error) {
	answer, err := c.CollectionService.SetPolicy(ctx, fill(c, &culldpb.SetPolicyRequest{Policy: policy}))
	return answer.GetPolicy(), err
}
