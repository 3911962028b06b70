"""Compares a live DBSCAN with scikit-learn's after every step.

    live_steps.py STEPS.jsonl

Each line is a sequence: `space` (`distances` between all rows that may be held, `eps`, `min_points`), and in `states`,
for each step, the rows then held (`rows`), whether each is a core (`core`), and its label (`labels`; noise has none).
Cores, noise and the clusters of cores must be scikit-learn's; a border row must share a cluster with one of its cores.
"""

import json
import sys

import numpy as np
from sklearn.cluster import DBSCAN


def same_partition(ours, theirs):
    pairs = set(zip(ours, theirs))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def differs(space, state):
    """Says what differs; nothing where all agrees."""
    rows, core = state["rows"], np.array(state["core"], dtype=bool)
    if not rows:
        return None
    # Noise is -1 in both.
    labels = np.array([-1 if label is None else label for label in state["labels"]])
    distances = space["distances"][np.ix_(rows, rows)]
    found = DBSCAN(eps=space["eps"], min_samples=space["min_points"], metric="precomputed").fit(distances)
    their_core = np.zeros(len(rows), dtype=bool)
    their_core[found.core_sample_indices_] = True
    if (core != their_core).any():
        return "cores"
    if ((labels == -1) != (found.labels_ == -1)).any():
        return "noise"
    if core.any() and not same_partition(labels[core], found.labels_[core]):
        return "clusters"
    for border in np.flatnonzero(~core & (labels != -1)):
        near = core & (distances[border] <= space["eps"])
        if labels[border] not in labels[near]:
            return "borders"
    return None


def main(path):
    steps = cores = noise = 0
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            sequence = json.loads(line)
            space = sequence["space"]
            # The numbers are single precision written in full: a tie at eps stays one.
            space["distances"] = np.array(space["distances"], dtype=np.float32).astype(np.float64)
            # scikit-learn refuses an eps of 0; the smallest number above it has the same neighbours.
            space["eps"] = max(float(np.float32(space["eps"])), np.finfo(np.float64).smallest_subnormal)
            for at, state in enumerate(sequence["states"]):
                wrong = differs(space, state)
                if wrong:
                    sys.exit(f"sequence {number}, step {at}: {wrong} differ")
                steps += 1
                cores += sum(state["core"])
                noise += sum(label is None for label in state["labels"])
    print(f"{steps} steps equal scikit-learn's: {cores} cores and {noise} rows of noise in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
