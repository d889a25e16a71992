"""Versions of what facegan stands on, and the extras that are there."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata, util

import facegan
from facegan.doctor.finding import Finding

TOPIC = "software"
REQUIRED = {
    "torch": "2.6", "filelock": "4.3", "lightning-fabric": "2.6.6", "safetensors": "0.5", "numpy": "1.26",
    "pillow": "11.1", "typer": "0.15", "rich": "13.7", "jinja2": "3.1", "tensorboard": "2.18",
}  # fmt: skip
"""Packages that facegan cannot do without, and the oldest version that will do; as in pyproject.toml."""
PYTHON = (3, 11)
EXTRAS = {
    "report": (["matplotlib"], "facegan report"),
    "keras": (["h5py"], "facegan import-keras"),
    "mp4": (["av"], "films as .mp4"),
    "onnx": (["onnx", "onnxscript", "onnxruntime"], "facegan export to ONNX"),
    "studio": (["starlette", "uvicorn"], "facegan studio"),
    "hub": (["huggingface_hub"], "models as hf:USER/NAME"),
    "parquet": (["pyarrow"], "facegan prepare of Parquet files"),
}
"""Each extra of pyproject.toml: the modules that it brings, and what needs them."""


def examine() -> list[Finding]:
    """Return what is to be said of Python, the packages and the extras."""
    return [_python(), *_packages(), *_extras()]


def _python() -> Finding:
    version = platform.python_version()
    said = f"facegan {facegan.__version__} on Python {version}, {platform.system()} {platform.machine()}"
    facts = {"facegan": facegan.__version__, "python": version}
    if sys.version_info[:2] < PYTHON:
        return Finding("fault", TOPIC, f"{said}: this Python is too old", "install Python 3.11 or newer", facts)
    return Finding("ok", TOPIC, said, facts=facts)


def _packages() -> list[Finding]:
    found, findings = versions(), []
    for name, least in REQUIRED.items():
        version, install = found[name], f"pip install -U '{name}>={least}'"
        if version is None:
            findings.append(Finding("fault", TOPIC, f"{name} is not installed", install))
        elif numbers(version) < numbers(least):
            findings.append(Finding("fault", TOPIC, f"{name} {version} is older than {least}", install))
    if findings:
        return findings
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    return [Finding("ok", TOPIC, listed, facts={"packages": found})]


def _extras() -> list[Finding]:
    findings, there = [], []
    for extra, (modules, needed_by) in EXTRAS.items():
        missing = [name for name in modules if not is_there(name)]
        if missing:
            sentence = f"{', '.join(missing)} not found, which {needed_by} needs"
            findings.append(Finding("note", TOPIC, sentence, f"pip install 'facegan[{extra}]'", {"extra": extra}))
        else:
            there.append(extra)
    return [Finding("ok", TOPIC, f"extras: {', '.join(there)}", facts={"extras": there}), *findings]


def versions() -> dict[str, str | None]:
    """Return {package: version, or None where it is not installed} of what facegan cannot do without."""
    return {name: _version(name) for name in REQUIRED}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def is_there(module: str) -> bool:
    """Return whether a module could be imported; it is not."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (2, 13, 0) of 2.13.0+cpu."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
