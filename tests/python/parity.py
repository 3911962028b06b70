"""Compares culld's clusterings of exported embeddings with scikit-learn's and kmedoids'.

    parity.py choose-eps EMBEDDINGS.npy [--min-points M]
        prints a cosine distance with no pair of images within 1e-5 of it, fit for DBSCAN
    parity.py check EMBEDDINGS.npy ALGORITHM OUTPUT.csv... --rows LABELS.csv [parameters]
        exits 0 when the outputs agree with the reference, 1 when they do not

The files are what `culld export` writes: `--embeddings` (float32 unit vectors, shape (n, dim)), `--labels` (one row per
row of the embeddings) and, for OPTICS, `--reachability`. ROWS is any labels file of the same images; it says which image
each embedding is of. OUTPUT is a labels file, for OPTICS the reachability file. K-Means takes several, one per seed, of
which the best counts; the others take one. For BIRCH, CLASSES is a CSV with the columns `file` and `class`.

culld visits points in the order of their image ids; the references of OPTICS and BIRCH, whose answers hang on the order,
see them in that order too.
"""

import argparse
import csv
import sys
import warnings
from pathlib import PurePath
from urllib.parse import unquote

import numpy as np
from sklearn import cluster
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

EPS_MARGIN = 1e-5
REACHABILITY_TOLERANCE = 1e-4
SEEDS = 10
ORDERS = 10

failures = []


def report(name, passed, detail):
    """Prints one line per criterion and remembers failures."""
    print(f"{'ok  ' if passed else 'FAIL'} {name}: {detail}")
    if not passed:
        failures.append(name)


def cosine_distances(x):
    """All cosine distances in double precision, exactly 0 on the diagonal."""
    x = x.astype(np.float64)
    distances = np.clip(1.0 - x @ x.T, 0.0, 2.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def read_csv(path):
    """The rows of a CSV as dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_output(path, image_ids):
    """A culld output as arrays by column, in the order of `image_ids`; noise is -1."""
    by_id = {row["image_id"]: row for row in read_csv(path)}
    missing = [image_id for image_id in image_ids if image_id not in by_id]
    if missing or len(by_id) != len(image_ids):
        sys.exit(f"{path} has {len(by_id)} images, {len(missing)} of the {len(image_ids)} wanted are not among them")
    rows = [by_id[image_id] for image_id in image_ids]
    columns = {"cluster": np.array([int(row["cluster"] or -1) for row in rows])}
    for name in ("reachability", "core_distance"):
        if rows and name in rows[0]:
            columns[name] = np.array([float(row[name] or "inf") for row in rows])
    return columns


def true_classes(rows, path):
    """The class of every row, by the name of its file."""
    by_file = {row["file"]: row["class"] for row in read_csv(path)}
    return [by_file[PurePath(unquote(row["file"])).name] for row in rows]


def choose_eps(distances, min_points):
    """The middle of the widest gap between pair distances near a small quantile of the core distances."""
    core = np.sort(np.sort(distances, axis=1)[:, min_points - 1])
    low, high = core[len(core) // 3], core[len(core) // 2]
    pairs = distances[np.triu_indices(len(distances), 1)]
    pairs = np.sort(pairs[(pairs >= low) & (pairs <= high)])
    gaps = np.diff(pairs)
    if not len(gaps) or gaps.max() < 2 * EPS_MARGIN:
        sys.exit(f"no eps in [{low:.6f}, {high:.6f}] is {EPS_MARGIN} away from every pair")
    widest = gaps.argmax()
    return (pairs[widest] + pairs[widest + 1]) / 2


def same_partition(a, b):
    """Whether two labellings are equal up to names."""
    return len(set(zip(a, b))) == len(set(a)) == len(set(b))


def check_dbscan(args, distances, outputs):
    """Core set, noise set, partition of the cores; border points in their nearest core's cluster."""
    ours = outputs[0]["cluster"]
    near = np.abs(distances[np.triu_indices(len(distances), 1)] - args.eps).min()
    report("dbscan eps", near > EPS_MARGIN, f"nearest pair is {near:.1e} from eps {args.eps}")
    reference = cluster.DBSCAN(eps=args.eps, min_samples=args.min_points, metric="precomputed").fit(distances)
    core = np.zeros(len(distances), bool)
    core[reference.core_sample_indices_] = True
    theirs = reference.labels_
    report("dbscan noise", np.array_equal(ours < 0, theirs < 0), f"{(ours < 0).sum()} and {(theirs < 0).sum()} points")
    # A cluster of cores is known by its cores: the same cores in the same groups is the same core set and partition.
    report(
        "dbscan cores",
        same_partition(ours[core], theirs[core]) and (ours[core] >= 0).all(),
        f"{core.sum()} cores, {theirs.max() + 1} clusters",
    )
    border = np.flatnonzero(~core & (theirs >= 0))
    to_cores = distances[np.ix_(border, core)]
    nearest = np.flatnonzero(core)[to_cores.argmin(axis=1)] if len(border) else border
    # Distances closer than f32 can tell apart are ties.
    wrong = sum(
        ours[b] != ours[n] and ours[b] not in ours[core][row <= row.min() + 1e-6]
        for b, n, row in zip(border, nearest, to_cores)
    )
    report("dbscan border", wrong == 0, f"{wrong} of {len(border)} not with their nearest core")


def order_of_ids(args):
    """The rows in the order in which culld visits them."""
    return np.argsort([row["image_id"] for row in args.rows], kind="stable")


def check_optics(args, distances, outputs):
    """Reachability within 1e-4 on 99.9 % of the points."""
    output = outputs[0]
    order = order_of_ids(args)
    # scikit-learn's memory-saving chunks and rounding to 6 digits come with float32; double precision avoids both.
    reference = cluster.OPTICS(min_samples=args.min_points, max_eps=args.max_eps, metric="precomputed", xi=args.xi)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.fit(distances[np.ix_(order, order)])

    def agreement(ours, theirs):
        infinite = np.isinf(ours) | np.isinf(theirs)
        with np.errstate(invalid="ignore"):
            return np.where(infinite, ours == theirs, np.abs(ours - theirs) <= REACHABILITY_TOLERANCE).mean()

    share = agreement(output["reachability"][order], reference.reachability_)
    report("optics reachability", share >= 0.999, f"{share:.4%} of points agree")
    share = agreement(output["core_distance"][order], reference.core_distances_)
    report("optics core distance", share >= 0.999, f"{share:.4%} of points agree")
    ari = adjusted_rand_score(reference.labels_, output["cluster"][order])
    report("optics xi", ari >= 0.99, f"ARI {ari:.4f} with xi {args.xi}")


def check_hdbscan(args, distances, outputs):
    """ARI of at least 0.99 and the same noise, on the rows in their own order.

    Mutual reachability distances tie by nature, a core distance being the weight of several links, and scikit-learn
    breaks ties by the order of rows. How far it differs from itself on other orders is printed beside, unjudged.
    """
    ours = outputs[0]["cluster"]
    runs = []
    for seed in range(ORDERS):
        order = np.random.default_rng(seed).permutation(len(distances)) if seed else np.arange(len(distances))
        model = cluster.HDBSCAN(
            min_cluster_size=args.min_cluster_size, min_samples=args.min_samples, metric="precomputed", copy=True
        )
        labels = np.empty(len(distances), int)
        labels[order] = model.fit_predict(distances[np.ix_(order, order)])
        runs.append(labels)
    theirs = runs[0]
    score = adjusted_rand_score(theirs, ours)
    report("hdbscan ARI", score >= 0.99, f"{score:.4f}, {theirs.max() + 1} clusters")
    differ = int(((theirs < 0) != (ours < 0)).sum())
    report("hdbscan noise", differ == 0, f"{differ} points differ, {(ours < 0).sum()} are noise")
    least = min(adjusted_rand_score(labels, theirs) for labels in runs)
    most = max(int(((labels < 0) != (theirs < 0)).sum()) for labels in runs)
    print(f"     scikit-learn against itself on {ORDERS} orders of the rows: ARI from {least:.4f}, noise differs by up to {most}")


def check_kmeans(args, vectors, outputs):
    """The best inertia of the outputs within 1 % of the best of ten seeds."""

    def inertia(labels):
        groups = [vectors[labels == label] for label in np.unique(labels)]
        return sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups)

    ours = min(inertia(output["cluster"]) for output in outputs)
    seeds = (cluster.KMeans(args.k, n_init=1, random_state=seed).fit(vectors).labels_ for seed in range(SEEDS))
    theirs = min(inertia(labels) for labels in seeds)
    report("k-means inertia", ours <= 1.01 * theirs, f"{ours:.4f} and {theirs:.4f} ({ours / theirs - 1:+.3%})")


def check_kmedoids(args, distances, outputs):
    """The loss within 0.1 % of the package kmedoids."""
    import kmedoids

    def loss(labels):
        return sum(distances[np.ix_(labels == label, labels == label)].sum(axis=0).min() for label in np.unique(labels))

    ours = loss(outputs[0]["cluster"])
    runs = (kmedoids.fasterpam(distances, args.k, init="random", random_state=seed).loss for seed in range(SEEDS))
    theirs = min(runs)
    report("k-medoids loss", ours <= 1.001 * theirs, f"{ours:.4f} and {theirs:.4f} ({ours / theirs - 1:+.3%})")


def check_birch(args, vectors, outputs):
    """Agreement with the true classes not below scikit-learn's by more than 0.01."""
    classes = true_classes(args.rows, args.classes)
    order = order_of_ids(args)
    reference = cluster.Birch(threshold=args.threshold, n_clusters=args.k).fit(vectors[order])
    theirs = normalized_mutual_info_score([classes[row] for row in order], reference.labels_)
    ours = normalized_mutual_info_score(classes, outputs[0]["cluster"])
    report("birch NMI", ours >= theirs - 0.01, f"{ours:.4f} and {theirs:.4f}")


CHECKS = {
    "dbscan": check_dbscan,
    "optics": check_optics,
    "hdbscan": check_hdbscan,
    "kmeans": check_kmeans,
    "kmedoids": check_kmedoids,
    "birch": check_birch,
}


def main():
    """Reads the arguments and runs one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    choose = commands.add_parser("choose-eps")
    choose.add_argument("embeddings")
    choose.add_argument("--min-points", type=int, default=5)
    check = commands.add_parser("check")
    check.add_argument("embeddings")
    check.add_argument("algorithm", choices=CHECKS)
    check.add_argument("outputs", nargs="+")
    check.add_argument("--rows", required=True, type=read_csv, help="labels file of the embeddings' rows")
    check.add_argument("--eps", type=float)
    check.add_argument("--min-points", type=int, default=5)
    check.add_argument("--max-eps", type=float, default=np.inf)
    check.add_argument("--xi", type=float, default=0.05)
    check.add_argument("--min-cluster-size", type=int, default=5)
    check.add_argument("--min-samples", type=int, default=5)
    check.add_argument("--k", type=int, default=20)
    check.add_argument("--threshold", type=float, default=0.5)
    check.add_argument("--classes", help="CSV with the columns `file` and `class`")
    args = parser.parse_args()

    vectors = np.load(args.embeddings)
    if args.command == "choose-eps":
        print(f"{choose_eps(cosine_distances(vectors), args.min_points):.7f}")
        return
    image_ids = [row["image_id"] for row in args.rows]
    if len(image_ids) != len(vectors):
        sys.exit(f"--rows has {len(image_ids)} rows, the embeddings have {len(vectors)}")
    outputs = [read_output(path, image_ids) for path in args.outputs]
    data = vectors if args.algorithm in ("kmeans", "birch") else cosine_distances(vectors)
    CHECKS[args.algorithm](args, data, outputs)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
