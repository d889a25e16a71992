"""Whether ``facegan plan`` was right: python benchmarks/plan.py data/celeba64 --recipe style-s --budget 10m --out proof

Plans one recipe, runs the very command that the plan printed, and compares: images within the budget and time to them
(claim: within 15%), the quick score at the end (claim: within the interval that was told), memory and disk. The run
stays in --out; its seed should be none of the kept curves'. Exit code 1 if a claim does not hold. On a machine whose
other work changes meanwhile, the images cannot be foretold; how many cores trial and run got is printed for that.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from facegan.files import read_json_lines
from facegan.machine import describe_machine
from facegan.runs.folder import RunFolder
from facegan.runs.overview import size_of

WITHIN = 0.15


def load() -> str:
    return f"{os.getloadavg()[0]:.2f}"


def timed(command: list[str]) -> tuple[float, int, float, str]:
    """Return the seconds that a command took, the most memory that it held, the cores it got, and what it printed."""
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    took = time.monotonic() - begun
    return took, usage.ru_maxrss * unit, (usage.ru_utime + usage.ru_stime) / took, said


def line(what: str, told: float, was: float, unit: str) -> bool:
    """Print a comparison; return whether it is within the claim."""
    off = was / told - 1
    print(f"{what:<28} told {told:>12,.1f} {unit:<8} was {was:>12,.1f} {unit:<8} {off:+.1%}")
    return abs(off) <= WITHIN


def quality(told: dict[str, Any], run: Path) -> bool:
    """Print the score against its interval; return whether it is inside, or nothing was claimed."""
    scores = [entry for entry in read_json_lines(RunFolder(run).log) if "quick_score" in entry]
    was = scores[-1]
    if told["score"] is None:
        print(f"quick score                  told nothing ({told['trust']}); was {was['quick_score']:.2f}")
        return True
    if told["low"] is None:
        print(
            f"quick score                  told {told['score']:.2f} without an interval; was {was['quick_score']:.2f}"
        )
        return True
    inside = told["low"] <= was["quick_score"] <= told["high"]
    print(
        f"quick score at {was['nimg']:,}: told {told['score']:.2f} ({told['low']:.2f} to {told['high']:.2f}; "
        f"{told['trust']}), was {was['quick_score']:.2f}: {'inside' if inside else 'OUTSIDE'}"
    )
    return inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="style-s")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--measure", default="60s")
    parser.add_argument("--threads", type=int, help="default: all cores, or fewer where that is faster")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    run = arguments.out / arguments.recipe
    facegan = [sys.executable, "-m", "facegan"]
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    print(f"load before the plan: {load()}", flush=True)
    command = [*facegan, "plan", str(arguments.data), "--recipe", arguments.recipe, "--budget", arguments.budget]
    command += ["--measure", arguments.measure, "--run", str(run), "--json"]
    command += [] if arguments.threads is None else ["--threads", str(arguments.threads)]
    took, _, _, said = timed(command)
    plan = json.loads(said.splitlines()[0])
    if plan["reason"]:
        raise SystemExit(plan["reason"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{arguments.recipe}-plan.json").write_text(said, encoding="utf-8")
    print(f"planned in {took:.0f} s; notes: {plan['notes']}\n{plan['command']}", flush=True)
    whole, memory, cores, _ = timed([*facegan, *shlex.split(plan["command"])[1:]])
    print(f"load after the run: {load()}")
    print(f"cores that it got: {plan['measured']['cores']:.2f} in the trial's steps, {cores:.2f} in the run")
    log = read_json_lines(RunFolder(run).log)
    images = max(entry["nimg"] for entry in log)
    minutes = float(shlex.split(plan["command"])[shlex.split(plan["command"]).index("--minutes") + 1])
    expected = plan["seconds_before"] + 60 * minutes + plan["seconds_after"]
    good = [
        line("images in the budget", plan["images"], images, "images"),
        line("from the command to its end", expected, whole, "s"),
        quality(plan["expected"], run),
    ]
    share = cores / plan["measured"]["cores"]
    line("images, for the cores it got", plan["images"] * share, images, "images")
    line("memory", plan["measured"]["memory"] / 1e6, memory / 1e6, "MB")
    line("a snapshot", plan["measured"]["snapshot_bytes"] / 1e6, size_of(RunFolder(run).latest_snapshot()) / 1e6, "MB")
    print("as told" if all(good) else "NOT as told")
    if not all(good):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
