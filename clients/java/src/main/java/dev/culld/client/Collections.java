package dev.culld.client;

import dev.culld.v1.Collection;
import dev.culld.v1.CollectionServiceGrpc;
import dev.culld.v1.CreateCollectionRequest;
import dev.culld.v1.DeleteCollectionRequest;
import dev.culld.v1.GetCollectionRequest;
import dev.culld.v1.GetPolicyRequest;
import dev.culld.v1.ListCollectionsRequest;
import dev.culld.v1.ListCollectionsResponse;
import dev.culld.v1.Policy;
import dev.culld.v1.SetPolicyRequest;
import java.util.stream.Stream;

/** Separate worlds of images, and how each decides. */
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
