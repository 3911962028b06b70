"""Times the inserts of incdbscan, the one exact incremental DBSCAN on PyPI.

    incremental.py VECTORS.npy POINTS EPS MIN_POINTS

Inserts the first POINTS rows at once, then the rest one at a time; prints the mean of these in seconds.
"""

import sys
import time

import numpy as np
from incdbscan import IncrementalDBSCAN

vectors = np.load(sys.argv[1]).astype(np.float64)
points, eps, min_points = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
# Of unit vectors the Euclidean distance is the root of twice the cosine distance.
model = IncrementalDBSCAN(eps=(2 * eps) ** 0.5, min_pts=min_points)
model.insert(vectors[:points])
rest = vectors[points : points + 50]
start = time.perf_counter()
for row in rest:
    model.insert(row.reshape(1, -1))
mean = (time.perf_counter() - start) / len(rest)
print("incdbscan", mean, f"mean of {len(rest)}, {points} points before")
