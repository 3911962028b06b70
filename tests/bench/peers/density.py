"""Times the peers of culld's density clustering.

    density.py VECTORS.npy ALGORITHM EPS MIN_POINTS

Prints a line per peer: its name, seconds, and what it found. Wall time, all cores, the data in memory already.
"""

import sys
import time

import numpy as np


def timed(work):
    """Seconds, and what the work gave."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def found(labels):
    """Clusters and noise in words."""
    return f"{labels.max() + 1} clusters, {(labels < 0).sum()} noise"


def scikit_learn(model, vectors):
    """Times a model of scikit-learn's."""
    seconds, labels = timed(lambda: model.fit_predict(vectors))
    print("scikit-learn", seconds, found(labels))


def hnswlib_graph(vectors):
    """Times hnswlib's graph of all points, and a query of it for each: what a clustering over its neighbours needs first."""
    import hnswlib

    def work():
        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
        index.add_items(vectors)
        index.set_ef(64)
        return index.knn_query(vectors, k=16)

    print("hnswlib", timed(work)[0], "graph and 16 neighbours only")


def main():
    """Reads the arguments and runs the peers."""
    from sklearn import cluster

    vectors = np.load(sys.argv[1])
    algorithm, eps, min_points = sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    # Of unit vectors the Euclidean distance is the root of twice the cosine distance; brute force is the fastest way.
    euclidean = (2 * eps) ** 0.5
    if algorithm == "dbscan":
        if len(vectors) <= 50_000:
            scikit_learn(cluster.DBSCAN(eps=euclidean, min_samples=min_points, algorithm="brute", n_jobs=-1), vectors)
        hnswlib_graph(vectors)
    elif algorithm == "hdbscan":
        scikit_learn(cluster.HDBSCAN(min_cluster_size=10, min_samples=min_points, algorithm="brute", n_jobs=-1, copy=True), vectors)
    elif algorithm == "optics":
        scikit_learn(cluster.OPTICS(min_samples=min_points, metric="cosine", algorithm="brute", n_jobs=-1), vectors)


main()
