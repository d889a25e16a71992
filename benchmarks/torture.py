"""A run that is killed, filled up and locked out for minutes, and still ends as one that was left alone (Linux).

    python benchmarks/torture.py DATA --minutes 10

The run lives on a small memory file system of its own (mounted in a namespace of this process; without root,
``unshare --map-root-user`` is used). Again and again, at random: SIGKILL at any moment; SIGKILL while a snapshot is
being written; the file system is filled up; the snapshots' folder is made read-only. After every kill each snapshot is
read whole and the loss is counted; at the end the same training runs undisturbed and every tensor is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import read_info, read_tensors
from facegan.runs.verify_resume import compare_runs

BATCH, INTERVAL = 16, 160
SETTINGS = [
    "--set=generator.width=16",
    "--set=discriminator.width=16",
    "--precision=float32",
    "--threads=1",
    "--score-faces=16",
]
EVENTS = ("killed at random", "killed while writing a snapshot", "disk filled up", "folder made read-only")


class Training:
    """One life of the run: a process and the events that it prints."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.saved = self.logged = 0
        self.warnings = 0
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # cut off by the kill
                continue
            if event["event"] == "start":
                self.logged = self.saved = event["nimg"]
                self.started.set()
            self.logged = event["nimg"] if event["event"] == "log" else self.logged
            self.saved = event["nimg"] if event["event"] == "snapshot" else self.saved
            self.warnings += event["event"] == "warning"

    def wait(self, condition, seconds: float = 60.0) -> bool:
        """Wait for a condition; return whether it came about while the process lived."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.0005)
        return condition()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.thread.join()


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def fill(disk: Path) -> Path:
    """Leave less than a kilobyte on the file system."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)):
                pass
        except OSError:
            pass
    return ballast


def check(folder: RunFolder) -> list[str]:
    """Return what is wrong with the snapshots of a run that was just killed."""
    wrong = []
    for path in folder.list_snapshots():
        try:
            info = read_info(path)
            for file in info.sha256:
                read_tensors(info, file.removesuffix(".safetensors"))
        except UserError as error:
            wrong.append(str(error))
    return wrong


def torture(command: list[str], folder: RunFolder, disk: Path, minutes: float, chance: random.Random) -> Counter[str]:
    """Disturb the run until the time is up; return the counts."""
    counts: Counter[str] = Counter()
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        training = Training(command)
        if not training.wait(training.started.is_set):
            assert training.process.stderr is not None
            raise SystemExit(f"the training does not start: {training.process.stderr.read()}")
        what = chance.choices(EVENTS, weights=(5, 5, 2, 2))[0]
        counts[what] += 1
        time.sleep(chance.uniform(0, 2))
        if what == EVENTS[1]:
            training.wait(lambda: any(folder.snapshots.glob(".nimg-*.partial")))
        if what in EVENTS[2:]:
            before = training.warnings
            if what == EVENTS[2]:
                ballast = fill(disk)
            else:
                mount("--bind", str(folder.snapshots), str(folder.snapshots))
                mount("-o", "remount,ro,bind", str(folder.snapshots))
            failed = training.wait(lambda t=training, b=before: t.warnings > b)
            counts["write failures"] += training.warnings - before
            counts["died of a write failure"] += training.process.poll() is not None
            if what == EVENTS[2]:
                ballast.unlink()
            else:
                subprocess.run(["umount", str(folder.snapshots)], check=True)
            saved = training.saved
            again = failed and training.wait(lambda t=training, s=saved: t.saved > s)
            counts["went on and wrote the next snapshot"] += again
            time.sleep(chance.uniform(0, 0.5))
        training.kill()
        counts["kills"] += 1
        counts["kills inside snapshot writing"] += any(folder.snapshots.glob(".nimg-*.partial"))
        wrong = check(folder)
        counts["unreadable snapshots"] += len(wrong)
        for sentence in wrong:
            print(f"  UNREADABLE: {sentence}")
        newest = int(folder.latest_snapshot().name.removeprefix("nimg-"))
        # What was announced as saved is there; and at most one interval, and the one in writing, is lost.
        counts["announced snapshots that are gone"] += newest < training.saved
        if what not in EVENTS[2:]:
            counts["lost more than the last interval"] += training.logged - newest > 2 * INTERVAL
        print(f"  {what}: at {training.logged:,} images, goes on from {newest:,}", flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a packed dataset of 16, 32 or 64 px")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if os.environ.get("FACEGAN_TORTURE") != "inside":
        root = [] if os.geteuid() == 0 else ["--map-root-user"]
        inside = ["unshare", "--mount", *root, sys.executable, __file__, *sys.argv[1:]]
        os.execvpe("unshare", inside, {**os.environ, "FACEGAN_TORTURE": "inside"})
    with tempfile.TemporaryDirectory(prefix="facegan-torture-") as temporary:
        disk = Path(temporary) / "disk"
        disk.mkdir()
        mount("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk))
        command = [sys.executable, "-m", "facegan", "train", str(arguments.data), "--recipe=dcgan", *SETTINGS]
        command += [f"--batch={BATCH}", f"--log-every={BATCH}", f"--snapshot-every={INTERVAL}", "--keep=2", "--json"]
        command += ["--sample-every=960"]
        begun, disturbed, quiet = (Path(temporary) / "begun", disk / "run", Path(temporary) / "quiet")
        subprocess.run([*command, "--images=0", f"--run={begun}"], check=True, stdout=subprocess.DEVNULL)
        for copy in (disturbed, quiet):
            shutil.copytree(begun, copy)
        folder = RunFolder(disturbed)
        counts = torture([*command, f"--run={disturbed}"], folder, disk, arguments.minutes,
                         random.Random(arguments.seed))  # fmt: skip
        target = int(folder.latest_snapshot().name.removeprefix("nimg-")) + INTERVAL
        for path in (disturbed, quiet):
            done = subprocess.run([*command, f"--images={target}", f"--run={path}"], stdout=subprocess.DEVNULL)
            counts["last legs that failed"] += done.returncode != 0
        tensors, difference = compare_runs(folder, RunFolder(quiet), target, logs=False)
        subprocess.run(["umount", str(disk)], check=True)
    for name, number in sorted(counts.items()):
        print(f"{number:>6,}  {name}")
    print(f"{target:>6,}  images in the end; {tensors} tensors compared with the undisturbed run: "
          f"{difference or 'identical'}")  # fmt: skip
    bad = ("unreadable snapshots", "announced snapshots that are gone", "lost more than the last interval",
           "last legs that failed", "died of a write failure")  # fmt: skip
    if difference or any(counts[name] for name in bad):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
