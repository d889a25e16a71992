"""Many faces as tar shards: does a job that is killed twice end in the bytes of one that was left alone, and how fast?

    python benchmarks/bulk.py --count 2000 --shard-size 250

Kills come with SIGKILL at random moments. Printed: faces a second, the peak memory of each process, and the time that a
million faces would take here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path


def run(command: list[str], killed_after: float | None = None) -> tuple[float, float, bool]:
    """Run a command, and kill it after so many seconds; return its seconds, its peak memory in MiB, and whether it was
    killed."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    killed = False
    if killed_after is not None:
        try:
            process.wait(killed_after)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            killed = True
    if process.returncode is None:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss / 1024
    else:
        peak = float("nan")
    if process.returncode and not killed:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - begin, peak, killed


def hashes(folder: Path) -> dict[str, str]:
    """Return {name: sha256} of every file in a folder."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="celeba64")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--shard-size", type=int, default=250)
    parser.add_argument("--format", default="png", choices=("png", "npy"))
    parser.add_argument("--seed", type=int, help="of the moments of the kills; default: another one each time")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    moments = random.Random(seed)

    def command(folder: Path) -> list[str]:
        words = ["sample", arguments.model, "--count", arguments.count, "--shard-size", arguments.shard_size]
        words += ["--format", arguments.format, "--out", folder / "faces-%05d.tar"]
        return [sys.executable, "-m", "facegan", *map(str, words)]

    with tempfile.TemporaryDirectory(prefix="facegan-bulk-") as scratch:
        alone, disturbed = Path(scratch) / "alone", Path(scratch) / "disturbed"
        whole_s, whole_mib, _ = run(command(alone))
        again_s, again_mib, _ = run(command(alone))  # nothing is left to make: its start, and all shards looked at
        size = sum(file.stat().st_size for file in alone.iterdir())
        print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores; seed of the kills: {seed}")
        print(f"left alone: {whole_s:.1f} s, peak {whole_mib:.0f} MiB")
        print(f"repeated, all shards whole: {again_s:.1f} s, peak {again_mib:.0f} MiB")
        for number in (1, 2):
            after = again_s + moments.uniform(0.1, 0.45) * (whole_s - again_s)
            seconds, peak, killed = run(command(disturbed), after)
            shards = len(list(disturbed.glob("faces-*.tar")))
            told = f"killed after {seconds:.1f} s, peak {peak:.0f} MiB" if killed else "was done before its kill"
            print(f"start {number}: {told}; {shards} whole shards")
        seconds, peak, _ = run(command(disturbed))
        print(f"start 3: to the end in {seconds:.1f} s, peak {peak:.0f} MiB")
        same = hashes(disturbed) == hashes(alone)
        print(f"{len(hashes(alone))} files: {'the same bytes' if same else 'NOT THE SAME BYTES'}")
        rate = arguments.count / max(whole_s - again_s, 1e-9)
        million = timedelta(seconds=round(1e6 / rate))
        print(
            f"{rate:.0f} faces/s without the start; 1,000,000 faces: {million} in one process, "
            f"{size / arguments.count * 1e6 / 1e9:.1f} GB"
        )
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
