"""Which packages facegan needs, which of them are missing here, and how they come to a machine without a registry."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = {
    "torch": "torch", "lightning_fabric": "lightning-fabric", "safetensors": "safetensors", "numpy": "numpy",
    "PIL": "pillow", "typer": "typer", "rich": "rich", "jinja2": "jinja2", "tensorboard": "tensorboard",
    "filelock": "filelock",
}  # fmt: skip
"""What facegan imports, and the name under which it is installed."""
WITHIN = {
    "typer": ["click", "shellingham", "typing-extensions", "annotated-doc"],
    "rich": ["pygments", "markdown-it-py", "mdurl"],
    "jinja2": ["markupsafe"],
    "tensorboard": ["absl-py", "grpcio", "markdown", "packaging", "pillow", "protobuf",
                    "tensorboard-data-server", "werkzeug", "markupsafe"],
    "lightning-fabric": ["lightning-utilities", "packaging"],
}  # fmt: skip
"""What those need in their turn, should the other machine have none of it."""


def missing() -> list[str]:
    """Return the packages that cannot be found here."""
    return [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


def how_to_carry(packages: list[str]) -> str:
    """Return what to do about packages that are missing on a machine without a way to a registry."""
    wanted = sorted({name for package in packages for name in (package, *WITHIN.get(package, []))} - {"torch"})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    platforms = "--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64"
    lines = [
        f"missing here: {', '.join(packages)}",
        "where there is a registry:  python -m pip install " + " ".join(packages),
        "else, on a machine that has one, fetch wheels into a folder and carry it along:",
        f"  python -m pip download --no-deps --only-binary=:all: --python-version {version} {platforms} -d wheels \\",
        "    " + " ".join(wanted),
        "and here:",
        "  python -m pip install --no-index --no-deps --target site wheels/*.whl && export PYTHONPATH=$PWD/site",
    ]
    if "torch" in packages:
        lines.append("torch is too large to carry: it must be there already, as a build for this machine's GPU")
    return "\n".join(lines)
