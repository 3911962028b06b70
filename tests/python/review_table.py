"""How good reviews get, over several sets and seeds; on demand, since it takes minutes.

    review_table.py CULLD DATA SCENARIO [SCENARIO …] [--seeds 5] [--judgements 80] [--share 0.9]

A SCENARIO is SET:CLASS,… (a folder of DATA with images/ and labels.csv, and the classes to keep). CULLD is the binary.
Each run starts a daemon of its own, on a store that has the set's embeddings already, and drives it over gRPC
(review_driver.py). The order in which images come changes nothing, so each seed draws other images too: the share of
the set that is reviewed. Prints, for each scenario, the mean and
the smallest Quality Metric after 10, 20, 40 and 80 judgements, where it stopped by itself and how good it was then, the
median width of the interval and the mean calibration error after 40; at the end how often the interval held the truth.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from parity_lane import Daemon

DRIVER = pathlib.Path(__file__).with_name("review_driver.py")


def stored(binary, folder, work):
    """A store with all images of a set, made once."""
    if not (work / "data").is_dir():
        work.mkdir()
        culld = Daemon(binary, work)
        culld("add", folder / "images")
        culld.stop()
    return work


def run(binary, store, folder, keep, seed, options):
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(store, work, dirs_exist_ok=True)
        culld = Daemon(binary, pathlib.Path(work))
        try:
            command = [sys.executable, DRIVER, culld.address.removeprefix("http://")]
            command += ["--labels", folder / "labels.csv", "--images", folder / "images", "--keep", keep]
            command += ["--seed", str(seed), "--judgements", str(options.judgements)]
            command += ["--share", str(options.share)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        finally:
            culld.stop()
    return json.loads(printed.splitlines()[-1])


def line(name, runs):
    parts = [f"{name:48}"]
    for at, points in zip((p["judgements"] for p in runs[0]["at"]), zip(*(r["at"] for r in runs))):
        metrics = [p["quality_metric"] for p in points]
        parts.append(f"{at}: {statistics.mean(metrics):.3f} (min {min(metrics):.3f})")
        if at == 40:
            widths = [p["estimate"][2] - p["estimate"][0] for p in points]
            error = statistics.mean(p["calibration_error"] for p in points)
            tail = f"width at 40 {statistics.median(widths):.3f}, calibration error {error:.3f}"
    stops = [r["stopped"] for r in runs]
    shown = " ".join("-" if s is None else f"{s['judgements']}({s['quality_metric']:.3f})" for s in stops)
    return "  ".join(parts) + f"  stops {shown}  {tail if len(runs[0]['at']) > 2 else ''}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("culld", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--judgements", type=int, default=80)
    parser.add_argument("--share", type=float, default=0.9)
    options = parser.parse_args()
    covered = []
    with tempfile.TemporaryDirectory() as stores:
        for scenario in options.scenarios:
            name, keep = scenario.split(":")
            folder = options.data / name
            store = stored(options.culld, folder, pathlib.Path(stores) / name)
            runs = [run(options.culld, store, folder, keep, seed, options) for seed in range(options.seeds)]
            covered += [point["covered"] for done in runs for point in done["at"]]
            print(line(scenario, runs), flush=True)
    print(f"the interval held the truth at {statistics.mean(covered):.3f} of {len(covered)} points")


if __name__ == "__main__":
    main()
