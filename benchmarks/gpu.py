"""Everything a training on a GPU does, in one command of under eight minutes; and its rehearsal without a GPU.

    python benchmarks/gpu.py data/celeba64 --out gpu-results
    python benchmarks/gpu.py faces-pack --out gpu-results --recipe style-m --minutes 3
    python benchmarks/gpu.py --rehearse --out rehearsal
    python benchmarks/gpu.py --join gpu-results --out runs/from-gpu

Trains a recipe for some minutes, stops it as Ctrl-C does, goes on with it, forks it, and trains its weights under
settings that must break, so that it goes back to a snapshot twice; makes faces, scores them; and trains dcgan beside
the plain PyTorch DCGAN. All of it through the facegan command. Data: packed datasets, or a pack of
benchmarks/jpeg_pack.py.

It works from a source tree, without an installation. What other packages are missing is said at its start. Where
little comes back from a machine: --out holds at most eight files of at most 16 MiB, and --join makes a model of them.
--rehearse: tiny counts and random images, one to two minutes on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BREAKING = [
    f"{side}_optimizer.{setting}"
    for side in ("generator", "discriminator")
    for setting in ("name=sgd", "learning_rate=1")
] + ["r1=1e6", "penalty_every=1"]
"""Settings under which weights grow until nothing is finite: the run must go back to its snapshot."""


@dataclass
class Session:
    """One call of this program."""

    out: Path
    work: Path
    data: list[str]
    cuda: bool
    recipe: str
    settings: list[str]
    """Options of ``facegan train`` that say what is trained."""
    minutes: float
    count: int
    """Faces to score."""
    rehearsal: bool
    found: dict[str, Any] = field(default_factory=lambda: {"steps": {}})

    @property
    def device(self) -> str:
        return "cuda" if self.cuda else "cpu"

    @property
    def run(self) -> Path:
        return self.work / "run"

    def facegan(self, *arguments: str | Path) -> list[str]:
        """Return a facegan command."""
        return [sys.executable, "-m", "facegan", *map(str, arguments)]

    def train(self, run: Path, *options: str | Path, recipe: str | None = None) -> list[str]:
        """Return a command that trains."""
        every = ("16", "64", "128") if self.rehearsal else ("12800", "200k", "400k")
        every += ("32",) if self.rehearsal else ("2000",)
        names = ("--log-every", "--sample-every", "--snapshot-every", "--score-faces")
        cadence = [part for pair in zip(names, every, strict=True) for part in pair]
        settings = self.settings if recipe is None else []
        return self.facegan(
            "train", *self.data, "--recipe", recipe or self.recipe, "--run", run, "--accelerator", self.device,
            "--devices", "1", "--json", "--images", "1000M", *cadence, *settings, *options,
        )  # fmt: skip

    def call(self, command: list[str], *, most: float = 300, expected: int = 0) -> str:
        """Run a command to its end; return what it printed.

        Raises:
            RuntimeError: it ended otherwise than expected; the message has its last words.
        """
        done = subprocess.run(command, env=_environment(), timeout=most, capture_output=True, text=True)
        if done.returncode != expected:
            raise RuntimeError(f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def step(self, name: str, do: Callable[[Session], dict[str, Any]]) -> None:
        """Do one step, and write down what it found or why it failed; the next ones are done all the same."""
        started = time.perf_counter()
        step: dict[str, Any] = {"ok": True, "found": {}}
        try:
            step["found"] = do(self)
        except Exception as error:
            step |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        step["seconds"] = time.perf_counter() - started
        self.found["steps"][name] = step
        self.save()
        said = json.dumps(step["found"]) if step["ok"] else "FAILED: " + step["error"]
        print(f"{name:<28} {step['seconds']:7.1f} s  {said}", flush=True)

    def save(self) -> None:
        """Write results.json and results.md."""
        from gpu_results import table

        (self.out / "results.json").write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        (self.out / "results.md").write_text(table(self.found), encoding="utf-8")


def _environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def events_of(text: str, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind among the JSON lines that a command printed."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event for event in events if event["event"] == kind]


def rate_of(text: str) -> float:
    """Return the images a second of a training: the median over the later half of its log."""
    rates = [event["images_per_s"] for event in events_of(text, "log")]
    return statistics.median(rates[len(rates) // 2 :]) if rates else 0.0


@contextmanager
def watched_gpu(cuda: bool) -> Iterator[dict[str, float]]:
    """Fill a table with the GPU's mean utilisation and its largest memory, where nvidia-smi says them."""
    said: dict[str, float] = {}
    if not cuda or shutil.which("nvidia-smi") is None:
        yield said
        return
    import torch

    one = f"GPU-{torch.cuda.get_device_properties(0).uuid}"  # nvidia-smi lists those of other jobs too
    query = [
        "nvidia-smi",
        "-i",
        one,
        "--query-gpu=utilization.gpu,memory.used",
        "--format=csv,noheader,nounits",
        "-lms",
        "500",
    ]
    with subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield said
        finally:
            process.terminate()
            lines, _ = process.communicate()
    rows = [line.split(",") for line in lines.splitlines() if line.count(",") == 1]
    numbers = [(float(use), float(memory)) for use, memory in rows if use.strip().isdigit()]
    busy = [use for use, _ in numbers[len(numbers) // 3 :]]
    if busy:
        said |= {"gpu_busy_percent": statistics.mean(busy), "gpu_used_mib": max(memory for _, memory in numbers)}


def begin(session: Session) -> dict[str, Any]:
    """Train, and stop as Ctrl-C does."""
    command = session.train(session.run)
    lines: list[str] = []
    with watched_gpu(session.cuda) as gpu, (session.work / "begin.err").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or []), daemon=True)
        reader.start()
        patience = time.monotonic() + 240
        while process.poll() is None and not any('"event": "log"' in line for line in lines):
            if time.monotonic() > patience:
                process.kill()
                raise RuntimeError("no line of the log came")
            time.sleep(0.05)
        time.sleep(0 if process.poll() is not None else session.minutes * 60)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=120)
        reader.join(timeout=10)
        if not reader.is_alive():
            process.stdout.close()
        errors.seek(0)
        if code != 130:
            raise RuntimeError(f"exit code {code}, expected 130: {errors.read().strip()[-800:]}")
    text = "".join(lines)
    start, stop = events_of(text, "start")[0], events_of(text, "stop")[0]
    session.found["choices"] = {name: start.get(name) for name in ("device", "precision", "threads", "images_per_s")}
    return {"images": stop["nimg"], "images_per_s": rate_of(text), **gpu, **_peak(stop)}


def _peak(stop: dict[str, Any]) -> dict[str, float]:
    return {"torch_peak_gib": stop["gpu_gib"]} if stop.get("gpu_gib") else {}


def go_on(session: Session) -> dict[str, Any]:
    """Go on with the run for a while: the optimisers come from the snapshot."""
    before = int(session.found["steps"]["train and stop"]["found"]["images"])
    text = session.call(session.train(session.run, "--minutes", f"{min(0.3, session.minutes):g}"))
    start, stop = events_of(text, "start")[0], events_of(text, "stop")[0]
    if start["nimg"] != before or stop["nimg"] <= before:
        raise RuntimeError(f"it went from {start['nimg']} to {stop['nimg']} images, and had stopped at {before}")
    return {"images": stop["nimg"], "images_per_s": rate_of(text)}


def break_it(session: Session) -> dict[str, Any]:
    """Begin with the run's weights under settings with which nothing stays finite: it goes back twice, then stops."""
    settings = [part for one in BREAKING for part in ("--set", one)]
    begun = ["--init", session.run, "--warmup", "0", "--log-every", "64", "--minutes", "3"]
    text = session.call(session.train(session.work / "broken", *begun, *settings), expected=1)
    alarms = [alarm for alarm in events_of(text, "alarm") if alarm["alarm"] == "not-finite"]
    actions = [alarm["action"].split(",")[0] for alarm in alarms]
    if actions != ["rewind", "rewind", "stop"]:
        raise RuntimeError(f"alarms led to {actions}")
    return {"rewinds": actions.count("rewind"), "at_images": alarms[-1]["nimg"]}


def fork(session: Session) -> dict[str, Any]:
    """Fork the run under a lower rate."""
    lower = ["--set", "generator_optimizer.learning_rate=1e-4"]
    command = session.train(
        session.run, "--fork", session.work / "forked", *lower, "--minutes", "0.01" if session.rehearsal else "0.1"
    )
    return {"images": events_of(session.call(command), "stop")[0]["nimg"]}


def make_faces(session: Session) -> dict[str, Any]:
    """Make a picture, and many faces for their rate."""
    place = ["--device", session.device]
    session.call(session.facegan("sample", session.run, "--out", session.out / "faces.png", *place, "--force"))
    started = time.perf_counter()
    many = ["--count", str(session.count), "--out", session.work / "faces.npy"]
    session.call(session.facegan("sample", session.run, *many, *place))
    return {"faces": session.count, "faces_per_s_with_start": session.count / (time.perf_counter() - started)}


def score(session: Session) -> dict[str, Any]:
    """Score the faces against all people."""
    receipt = session.work / "receipt.json"
    command = session.facegan("evaluate", session.run, *session.data, "--count", str(session.count), "--out", receipt)
    few = ["--space", "random-net"] if session.rehearsal else []
    session.call([*command, "--device", session.device, *few])
    session.found["receipt"] = json.loads(receipt.read_text(encoding="utf-8"))
    scores = session.found["receipt"]["scores"]
    return {score["space"]: score["estimate"]["value"] for score in scores if score["name"] == "frechet"}


def train_dcgan(session: Session) -> dict[str, Any]:
    """Train dcgan at the peer's batch."""
    small = ["--set", "generator.width=8", "--set", "discriminator.width=8", "--batch", "8", "--precision", "float32"]
    size = [*small, "--threads", "1"] if session.rehearsal else ["--batch", "128"]
    minutes = "0.01" if session.rehearsal else "0.4"
    with watched_gpu(session.cuda) as gpu:
        text = session.call(session.train(session.work / "dcgan", *size, "--minutes", minutes, recipe="dcgan"))
    return {"images_per_s": rate_of(text), "precision": events_of(text, "start")[0]["precision"], **gpu}


def train_plain(session: Session) -> dict[str, Any]:
    """Train the plain PyTorch DCGAN."""
    example = str(ROOT / "benchmarks" / "peers" / "pytorch_dcgan.py")
    faces = ["--faces", str(session.work / "plain.npy"), "--count", "64", "--device", session.device]
    size = ["--batch", "8", "--minutes", "0.001"] if session.rehearsal else ["--minutes", "0.4"]
    with watched_gpu(session.cuda) as gpu:
        text = session.call([sys.executable, example, *session.data, *faces, *size])
    return {"images_per_s": float(text.split(",")[-1].split()[0]), **gpu}


def keep(session: Session) -> dict[str, Any]:
    """Keep the weights and the last grid."""
    from gpu_results import write_weights

    from facegan.runs.folder import RunFolder

    session.found["weights"] = write_weights(session.run, session.out)
    shutil.copy(RunFolder(session.run).list_grids()[-1], session.out / "training.png")
    files = sorted(file for file in session.out.iterdir() if file.is_file())
    return {"files": len(files), "megabytes": sum(file.stat().st_size for file in files) / 1e6}


def random_data(folder: Path, count: int = 1000, side: int = 64) -> Path:
    """Write smooth random images with random labels as a packed dataset."""
    import numpy as np

    from facegan.data.writer import PackedWriter
    from facegan.randomness import Stream

    coarse = Stream(0, "rehearsal").uniform(np.arange(count), 8 * 8 * 3).reshape(count, 8, 8, 3)
    image_NHWC = (coarse.repeat(side // 8, 1).repeat(side // 8, 2) * 255).astype(np.uint8)
    labels_NA = np.where(Stream(0, "labels").uniform(np.arange(count), 40) < 0.5, 1, -1)
    with PackedWriter(folder, resolution=side, capacity=count) as writer:
        writer.write(0, image_NHWC)
        writer.finish(attributes=labels_NA, identities=1 + np.arange(count) // 20)
    return folder


def prepared(sources: list[Path], work: Path) -> list[str]:
    """Return the packed datasets that the sources are, or that are unpacked from them."""
    from jpeg_pack import INFO_FILE, unpack

    found = [unpack(path, work / "data") if (path / INFO_FILE).is_file() else [path] for path in sources]
    return [str(path.absolute()) for paths in found for path in paths]


def play(session: Session) -> bool:
    """Do all steps; return whether every one of them did what it should."""
    import torch

    from facegan.machine import describe_machine
    from facegan.recipes import recipe

    session.found["machine"] = {**describe_machine(), "cuda": torch.version.cuda}
    session.found["recipe"] = {"name": session.recipe, "settings": session.settings}
    session.step("train and stop", begin)
    session.step("go on", go_on)
    session.step("fork", fork)
    if recipe(session.recipe).network == "style":
        session.step("break and go back", break_it)
    session.step("sample", make_faces)
    session.step("keep", keep)
    session.step("dcgan", train_dcgan)
    session.step("plain PyTorch DCGAN", train_plain)
    session.step("evaluate", score)
    return all(step["ok"] for step in session.found["steps"].values())


def rehearsal_settings(recipe: str) -> list[str]:
    """Return options that make a recipe tiny."""
    small = ["width=4", "max_channels=8"] if recipe.startswith("style") else ["width=8"] if recipe == "dcgan" else []
    both = [f"{side}.{size}" for side in ("generator", "discriminator") for size in small]
    settings = [*both, "generator.style_size=16", "latent_size=16"] if recipe.startswith("style") else both
    return [part for one in settings for part in ("--set", one)] + [
        "--batch", "8", "--precision", "float32", "--forms", "direct", "--threads", "1",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*", help="packed datasets, or packs of jpeg_pack.py")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder for the results")
    parser.add_argument("--recipe", default="style-m")
    parser.add_argument("--minutes", type=float, default=3, help="of the first training; the rest takes about four")
    parser.add_argument("--count", type=int, default=10_000, help="faces to make and score")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as of facegan train")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--rehearse", action="store_true", help="tiny counts; without data, random images")
    parser.add_argument("--join", type=Path, metavar="RESULTS", help="make a model of the weights that came back")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    from needed_packages import how_to_carry, missing

    if lacking := missing():
        raise SystemExit(how_to_carry(lacking))
    import torch

    if arguments.join is not None:
        from gpu_results import join

        join(arguments.join, arguments.out)
        return
    if not arguments.data and not arguments.rehearse:
        parser.error("name the data, or --rehearse")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here")
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"--out {arguments.out} is not empty: name a new folder")
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = [part for one in arguments.set for part in ("--set", one)]
    settings += ["--batch", str(arguments.batch)] if arguments.batch else []
    with tempfile.TemporaryDirectory(prefix="facegan-gpu-") as temporary:
        work = Path(temporary)
        os.environ.setdefault("FACEGAN_CACHE", str(work / "cache"))
        sources = arguments.data or [random_data(work / "random")]
        session = Session(
            out=arguments.out.absolute(),
            work=work,
            data=prepared(sources, work),
            cuda=arguments.device != "cpu" and torch.cuda.is_available(),
            recipe=arguments.recipe,
            settings=(rehearsal_settings(arguments.recipe) if arguments.rehearse else []) + settings,
            minutes=0.005 if arguments.rehearse else arguments.minutes,
            count=1000 if arguments.rehearse else arguments.count,
            rehearsal=arguments.rehearse,
        )
        well = play(session)
    print("\n" + (arguments.out / "results.md").read_text(encoding="utf-8"))
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
