"""Runs every algorithm of a culld on a folder of pictures and holds each result against its reference (parity.py).

    parity_lane.py CULLD IMAGES LABELS.csv

CULLD is the binary, LABELS.csv says the true classes, by which BIRCH is compared. Exits 1 if anything disagrees.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

PARITY = pathlib.Path(__file__).with_name("parity.py")
K = 20
MIN_POINTS = 5
SEEDS = 10
THRESHOLD = 0.5


class Daemon:
    """A culld of its own, on a free port and in a folder of its own."""

    def __init__(self, binary, folder):
        self.binary = binary
        # One worker adds in the order of names, and references that depend on the order of rows always see that one.
        command = [binary, "serve", "--workers", "1", "--data", folder / "data", "--listen", "127.0.0.1:0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = next(line for line in self.process.stdout if line.startswith("{"))
        self.address = json.loads(line)["address"]

    def __call__(self, *arguments):
        """Runs a client command; an error of it ends the script."""
        command = [self.binary, "--server", self.address, *map(str, arguments), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{command} ended with {done.returncode}")
        return json.loads(done.stdout.splitlines()[-1])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def check(embeddings, rows, algorithm, outputs, *parameters):
    """Compares; answers whether all agree."""
    command = [sys.executable, "-W", "ignore", PARITY, "check", embeddings, algorithm, *outputs, "--rows", rows]
    command += map(str, parameters)
    return subprocess.run(command).returncode == 0


def clusterings(culld, folder, embeddings, classes):
    """Yields (algorithm, outputs, parameters of the check) for each algorithm."""

    def labels(name, *recluster):
        path = folder / f"{name}.csv"
        culld("recluster", *recluster)
        culld("export", "--labels", path)
        return path

    choose = [sys.executable, PARITY, "choose-eps", embeddings, "--min-points", str(MIN_POINTS)]
    eps = subprocess.run(choose, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    path = labels("dbscan", "dbscan", "--eps", eps, "--min-points", MIN_POINTS)
    yield "dbscan", [path], ("--eps", eps, "--min-points", MIN_POINTS)
    path = labels("hdbscan", "hdbscan", "--min-cluster-size", 5, "--min-samples", 5)
    yield "hdbscan", [path], ("--min-cluster-size", 5, "--min-samples", 5)
    seeds = [labels(f"kmeans{seed}", "--seed", seed, "k-means", "--k", K, "--restarts", 1) for seed in range(SEEDS)]
    yield "kmeans", seeds, ("--k", K)
    yield "kmedoids", [labels("kmedoids", "k-medoids", "--k", K)], ("--k", K)
    labels("optics", "optics", "--min-points", MIN_POINTS, "--xi", 0.05)
    plot = folder / "plot.csv"
    culld("export", "--reachability", plot)
    yield "optics", [plot], ("--min-points", MIN_POINTS, "--xi", 0.05)
    path = labels("birch", "birch", "--threshold", THRESHOLD, "--k", K)
    yield "birch", [path], ("--threshold", THRESHOLD, "--k", K, "--classes", classes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("culld", type=pathlib.Path)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("labels", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="culld-parity-") as work:
        folder = pathlib.Path(work)
        culld = Daemon(args.culld, folder)
        try:
            culld("add", args.images)
            embeddings, rows = folder / "embeddings.npy", folder / "rows.csv"
            culld("export", "--embeddings", embeddings, "--labels", rows)
            results = clusterings(culld, folder, embeddings, args.labels)
            agree = [check(embeddings, rows, name, outputs, *parameters) for name, outputs, parameters in results]
        finally:
            culld.stop()
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
