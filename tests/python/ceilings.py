"""What can be reached at all on a folder of labelled pictures, with culld's embeddings.

    ceilings.py CULLD --labels LABELS.csv --images DIR KEEP [KEEP …]     (KEEP: classes, comma-separated)

For each keep scenario: the Quality Metric (0.3, 0.7) of a logistic regression and of 7 nearest neighbours that know *all*
labels, cross-validated in five folds. The better one is the ceiling that a review is measured against. CULLD is the
binary; it embeds the pictures.
"""

import argparse
import csv
import pathlib
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from parity_lane import Daemon


def quality_metric(needed, kept):
    good = (needed & kept).sum()
    return 0.3 * good / max(1, kept.sum()) + 0.7 * good / max(1, needed.sum())


def exported(binary, images):
    """Embeddings of the pictures of a folder, shape (n, dim), and the file of each."""
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work)
        culld = Daemon(binary, folder)
        try:
            culld("add", images)
            culld("export", "--embeddings", folder / "embeddings.npy", "--labels", folder / "rows.csv")
        finally:
            culld.stop()
        with open(folder / "rows.csv", newline="", encoding="utf-8") as lines:
            files = {row["image_id"]: row["file"] for row in csv.DictReader(lines)}
        return np.load(folder / "embeddings.npy"), list(files.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("culld")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("keep", nargs="+")
    options = parser.parse_args()
    with open(options.labels, newline="", encoding="utf-8") as lines:
        classes = {row["file"]: row["class"] for row in csv.DictReader(lines)}
    embeddings, files = exported(options.culld, options.images)
    found = np.array([classes[pathlib.Path(file).name] for file in files])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for keep in options.keep:
        needed = np.isin(found, keep.split(","))
        scores = [
            quality_metric(needed, cross_val_predict(model, embeddings, needed, cv=folds))
            for model in (LogisticRegression(C=10, max_iter=500), KNeighborsClassifier(7))
        ]
        print(f"{keep}: {len(needed)} images, logistic regression {scores[0]:.4f}, 7-NN {scores[1]:.4f}, "
              f"ceiling {max(scores):.4f}")


if __name__ == "__main__":
    main()
