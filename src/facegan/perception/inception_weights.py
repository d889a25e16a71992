"""Where Inception's weights come from: a file that is named, torch's cache, or the network; never anything instead."""

from __future__ import annotations

import hashlib
import urllib.error
from pathlib import Path

import torch

from facegan.errors import UserError, brief
from facegan.perception.inception import Inception

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""The field's names of one file: pytorch-fid's and torch-fidelity's."""
SHA256_START = "6726825d"


def find_weights(file: Path | None) -> Path:
    """Return the file of the weights: the one that is named, or a cached one, or one that is downloaded now.

    Raises:
        UserError: it is not there, and cannot be downloaded.
    """
    if file is not None:
        if not file.is_file():
            raise UserError(f"--inception {file}: there is no such file; give {FILES[0]}")
        return file
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(folder / FILES[0]), hash_prefix=SHA256_START, progress=False)
    except (OSError, urllib.error.URLError, RuntimeError) as error:
        raise UserError(
            f"Inception's weights are not here and cannot be downloaded ({brief(error)}): get {FILES[0]} "
            f"({URL}, 95 MB) elsewhere and give it with --inception FILE, or leave the Inception spaces out"
        ) from None
    return folder / FILES[0]


def load_inception(file: Path | None = None) -> tuple[Inception, str]:
    """Return the network with the field's weights, in inference mode, and the file's sha256.

    Raises:
        UserError: the weights cannot be had, or are other ones.
    """
    path = find_weights(file)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if not digest.startswith(SHA256_START):
        raise UserError(
            f"{path} is not the network that FID is defined with: its sha256 begins with {digest[:8]}, expected "
            f"{SHA256_START}; download it again"
        )
    return read_inception(path), digest


def read_inception(path: Path) -> Inception:
    """Return the network with the weights of a file, whatever they are.

    Raises:
        UserError: it is damaged or of another network.
    """
    network = Inception()
    try:
        network.load_converted(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch's reader meets a damaged file with any exception there is
        raise UserError(f"{path} holds no weights of Inception ({brief(error)})") from None
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
