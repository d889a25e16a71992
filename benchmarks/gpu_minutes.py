"""Train for as many minutes as a GPU is lent, with the rate falling to its end when they are over; keep the weights.

    python benchmarks/gpu_minutes.py data/part-a data/part-b --minutes 9 --out back --init celeba64 \\
        --sizes 64:384:64:384 64:384:96:512 --set r1=0.1 --set r2=0.1 --set feature_weight=0.1
    python benchmarks/gpu.py --join back --out runs/from-gpu

--sizes: width and most channels of G, then of D, from the size that is wanted most to the one that always fits; each is
tried for some seconds, and the first one that would see --images in the time is taken, or else the last one. The rates
are held for the first six tenths of the images and fall to a fiftieth; how many images there will be follows from the
trial. Data: packed datasets, or packs of jpeg_pack.py. --out gets at most eight files of at most 16 MiB, for machines
that give no more back; --work keeps the run, which ``facegan train --run`` goes on with. Works from a source tree.
What the shipped model saw last was trained so, by a program from which this one was made (docs/celeba64).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from gpu import ROOT, prepared

OVERHEAD_SECONDS = 45
"""Of a training's start and end."""
CAUTION = 0.85
"""Share of the trial's rate that a training keeps, with its grids and snapshots, and with ADA at work."""
HELD, LAST = 0.6, 0.02


def widths(size: str) -> list[str]:
    """Return the settings of G's width and most channels, and D's: "64:384:96:512"."""
    names = ("generator.width", "generator.max_channels", "discriminator.width", "discriminator.max_channels")
    values = size.split(":")
    if len(values) != len(names):
        raise SystemExit(f"--sizes {size}: write G's width and most channels, then D's, as 64:384:96:512")
    return [f"{name}={int(value)}" for name, value in zip(names, values, strict=True)]


def schedule(start: int, images: int) -> str:
    """Return the setting under which the rates are held and then fall."""
    return f"lr_schedule=1@{start + int(HELD * images)},{LAST}@{start + images}"


def chosen(rates: dict[str, float], seconds: float, images: float) -> str:
    """Return the first size that sees so many images in the time, or the last one."""
    return next((size for size, rate in rates.items() if rate * CAUTION * seconds >= images), list(rates)[-1])


def trial_rates(init: Path, sizes: list[str], settings: list[str], batch: int, precision: str) -> dict[str, float]:
    """Return the images a second of some steps of each size."""
    import torch

    from facegan.config_changes import with_settings
    from facegan.errors import is_out_of_memory
    from facegan.networks import build_pair
    from facegan.networks.conv_algorithms import DIRECT
    from facegan.networks.conv_autotune import same_algorithm
    from facegan.runs.folder import find_snapshot
    from facegan.training.autotune import trial_rate
    from facegan.training.engine import Engine
    from facegan.training.execution_plan import ExecutionPlan

    engine, base, rates = Engine(devices=1), find_snapshot(init).run_config(), {}
    for size in sizes:
        recipe = with_settings(base.recipe, settings + widths(size))
        config = replace(base, recipe=recipe, batch=batch, init="", start_nimg=0)
        pair = build_pair(recipe, seed=None)
        G, D = (same_algorithm(network, DIRECT) for network in (pair.generator, pair.discriminator))
        plan = ExecutionPlan(precision=precision, threads=1, conv=DIRECT, generator=G, discriminator=D)
        try:
            rates[size] = trial_rate(config, plan, engine)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            print(f"{size}: does not fit into the memory", flush=True)
            torch.cuda.empty_cache()
            continue
        print(f"{size}: {rates[size]:,.0f} images/s", flush=True)
    return rates


def keep(run: Path, out: Path, about: dict[str, object]) -> None:
    """Write a run's weights, its log and its last grid."""
    from gpu_results import write_weights

    from facegan.runs.folder import RunFolder

    folder = RunFolder(run)
    weights = write_weights(run, out)
    log = [json.loads(line) for line in folder.log.read_text(encoding="utf-8").splitlines()]
    found = {"weights": weights, "log": log, **about}
    (out / "results.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    shutil.copy(folder.list_grids()[-1], out / "training.png")


def main() -> None:
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="packed datasets, or packs of jpeg_pack.py")
    parser.add_argument("--minutes", type=float, required=True, help="of this whole command")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder for what is to come back")
    parser.add_argument("--work", type=Path, default=Path("gpu-work"), help="a new folder for the run")
    parser.add_argument("--init", type=Path, required=True, help="a style model to begin with")
    parser.add_argument("--sizes", nargs="+", default=["64:384:64:384"], metavar="G:MOST:D:MOST")
    parser.add_argument("--images", type=float, default=1e6, help="that a size must see to be taken")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as of facegan train")
    parser.add_argument("--batch", type=int, default=256)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    import torch

    from facegan.cli import main as facegan
    from facegan.runs.folder import find_snapshot

    for folder in (arguments.out, arguments.work):
        if folder.exists() and any(folder.iterdir()):
            parser.error(f"{folder} is not empty: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("FACEGAN_CACHE", str(arguments.work / "cache"))
    cuda = torch.cuda.is_available()
    precision = "bfloat16" if cuda else "float32"
    data = prepared(arguments.data, arguments.work)
    rates = trial_rates(arguments.init, arguments.sizes, arguments.set, arguments.batch, precision)
    if not rates:
        sys.exit("no size fits into the memory: give a smaller one, or a smaller --batch")
    left = arguments.minutes * 60 - (time.monotonic() - begun) - (OVERHEAD_SECONDS if cuda else 0)
    size = chosen(rates, left, arguments.images)
    start = find_snapshot(arguments.init).nimg
    images = max(arguments.batch, int(rates[size] * CAUTION * left))
    run = arguments.work / "run"
    every = str(max(arguments.batch, images // 4))
    settings = [*arguments.set, *widths(size), schedule(start, images)]
    words = [
        "train", *data, "--run", str(run), "--init", str(arguments.init), "--keep-nimg",
        "--batch", str(arguments.batch),
        "--precision", precision, "--forms", "direct", "--devices", "1", "--images", str(start + images),
        "--minutes", f"{max(left, 1) / 60:.3f}", "--log-every", str(100 * arguments.batch), "--sample-every", every,
        "--snapshot-every", every, "--keep", "2", "--score-faces", "0",
        *(part for setting in settings for part in ("--set", setting)),
    ]  # fmt: skip
    print(f"{size}, {images:,} images in {left:.0f} s: facegan {' '.join(words)}", flush=True)
    sys.argv = ["facegan", *words]
    code: int | str | None = 0
    try:
        facegan()
    except SystemExit as ended:
        code = ended.code
    keep(run, arguments.out, {"command": words, "rates": rates})  # also of a training that was stopped
    sys.exit(code)


if __name__ == "__main__":
    main()
