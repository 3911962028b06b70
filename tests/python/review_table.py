"""How good reviews get, over several sets and seeds; on demand, since it takes minutes.

    review_table.py CULLD DATA SCENARIO [SCENARIO …] [--seeds 5] [--judgements 80]

A SCENARIO is SET:CLASS,… (a folder of DATA with images/ and labels.csv, and the classes to keep). CULLD is the binary.
Each run starts a daemon of its own and drives it over gRPC (review_driver.py). Prints, for each scenario, the mean and
the smallest Quality Metric after 10, 20, 40 and 80 judgements, where it stopped by itself and how good it was then, the
median width of the interval and the mean calibration error after 40; at the end how often the interval held the truth.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from parity_lane import Daemon

DRIVER = pathlib.Path(__file__).with_name("review_driver.py")


def run(binary, folder, keep, seed, judgements):
    with tempfile.TemporaryDirectory() as work:
        culld = Daemon(binary, pathlib.Path(work))
        try:
            command = [sys.executable, DRIVER, culld.address.removeprefix("http://")]
            command += ["--labels", folder / "labels.csv", "--images", folder / "images", "--keep", keep]
            command += ["--seed", str(seed), "--judgements", str(judgements)]
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
    options = parser.parse_args()
    covered = []
    for scenario in options.scenarios:
        name, keep = scenario.split(":")
        runs = [
            run(options.culld, options.data / name, keep, seed, options.judgements) for seed in range(options.seeds)
        ]
        covered += [point["covered"] for run in runs for point in run["at"]]
        print(line(scenario, runs), flush=True)
    print(f"the interval held the truth at {statistics.mean(covered):.3f} of {len(covered)} points")


if __name__ == "__main__":
    main()
