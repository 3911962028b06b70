"""The simulated reviewer of `culld simulate`, written a second time: over gRPC alone, by reflection.

    review_driver.py HOST:PORT --labels LABELS.csv --keep a,b --images DIR [--judgements 80] [--seed 0] [--share 1]

Adds the images (or a share of them, drawn by the seed: what else the daemon holds is deleted) in an order shuffled by
the seed, answers review items, and prints one JSON object on the last line: the figures of `culld simulate --json`, and what the daemon does not say of itself: the expected calibration error of the
confidence (`calibration_error`, ten bins) and whether the interval holds the true Quality Metric (`covered`).
"""

import argparse
import csv
import json
import pathlib
import random

from reflection_client import Culld

REPORTED_AT = (10, 20, 40, 80)


def added(culld, folder, seed, share):
    """Adds a share of the files; answers image ids by file name, of those that are images."""
    paths = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_file())
    random.Random(seed).shuffle(paths)
    paths = paths[: round(share * len(paths))]
    ids = {}
    for path in paths:
        outcome = culld.call("ImageService", "AddImage", image={"key": path.name, "data": path.read_bytes()}).outcome
        if outcome.image_id:
            ids[path.name] = outcome.image_id
    return ids


def leave_only(culld, ids):
    """Deletes what the daemon held before and isn't among these."""
    others = sorted(decisions(culld).keys() - set(ids.values()))
    if others:
        culld.call("ImageService", "DeleteImages", filter={"image_ids": others})


def answer(shown, needed):
    """What a person who sees only these says, and the odd one out."""
    good = [image for image in shown if needed[image]]
    bad = [image for image in shown if not needed[image]]
    odd = 1 if len(shown) == 9 else 0
    if len(bad) <= odd:
        return "REVIEW_ANSWER_KEEP", bad
    if len(good) <= odd:
        return "REVIEW_ANSWER_DISCARD", good
    return "REVIEW_ANSWER_MIXED", []


def decisions(culld):
    """Provisional side (whether it is keep) and confidence of every image."""
    found = {}
    for message in culld.call("DecisionService", "FetchDecisions"):
        for decision in message.decisions:
            kinds = decision.DESCRIPTOR.fields_by_name["provisional_side"].enum_type.values_by_number
            keeps = kinds[decision.provisional_side].name == "SIDE_KEEP"
            found[decision.image_id] = (keeps, decision.confidence)
    return found


def measured(needed, found):
    """Precision, recall and Quality Metric (0.3, 0.7) of provisional sides, and the calibration error."""
    kept = sum(found[image][0] for image in needed)
    wanted = sum(needed.values())
    good = sum(found[image][0] and needed[image] for image in needed)
    precision, recall = good / kept if kept else 0.0, good / wanted if wanted else 0.0
    bins = [[] for _ in range(10)]
    for image in needed:
        keeps, confidence = found[image]
        bins[min(int(confidence * 10), 9)].append((confidence, keeps == needed[image]))
    error = 0.0
    for entries in filter(None, bins):
        mean = sum(confidence for confidence, _ in entries) / len(entries)
        right = sum(correct for _, correct in entries) / len(entries)
        error += abs(mean - right) * len(entries) / len(needed)
    return {
        "quality_metric": 0.3 * precision + 0.7 * recall,
        "precision": precision,
        "recall": recall,
        "calibration_error": error,
    }


def point(culld, needed, judgements, asked):
    """The figures of this moment."""
    figures = measured(needed, decisions(culld))
    estimate = asked.estimate
    low, high = estimate.interval_low, estimate.interval_high
    return {
        "judgements": judgements,
        **figures,
        "estimate": [low, estimate.quality_metric, high],
        "covered": low - 1e-9 <= figures["quality_metric"] <= high + 1e-9,
    }


def reviewed(culld, needed, judgements):
    """Answers so many items; answers the points, after how many it was enough, and the point then."""
    points, stopped = [], None
    asked = culld.call("DecisionService", "NextReview", reviewer="driver")
    for judgement in range(1, judgements + 1):
        if asked.enough and stopped is None:
            stopped = point(culld, needed, judgement - 1, asked)
        if asked.HasField("item"):
            said, exceptions = answer(list(asked.item.shown_image_ids), needed)
            culld.call(
                "DecisionService",
                "AnswerReview",
                item_id=asked.item.item_id,
                answer=said,
                exception_image_ids=exceptions,
                actor="driver",
            )
            asked = culld.call("DecisionService", "NextReview", reviewer="driver")
        if judgement in REPORTED_AT or judgement == judgements:
            points.append(point(culld, needed, judgement, asked))
    if asked.enough and stopped is None:
        stopped = point(culld, needed, judgements, asked)
    return points, stopped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--keep", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--judgements", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    culld = Culld(options.address)
    ids = added(culld, options.images, options.seed, options.share)
    leave_only(culld, ids)
    with open(options.labels, newline="", encoding="utf-8") as lines:
        classes = {row["file"]: row["class"] for row in csv.DictReader(lines)}
    keep = set(options.keep.split(","))
    needed = {image: classes[name] in keep for name, image in ids.items()}
    points, stopped = reviewed(culld, needed, options.judgements)
    stopped_at = stopped and stopped["judgements"]
    print(json.dumps({"images": len(ids), "at": points, "stopped_at": stopped_at, "stopped": stopped}))


if __name__ == "__main__":
    main()
