"""Inception-v3 as the Frechet Inception Distance uses it: the network of 2015-12-05 (Szegedy et al. 2016).

It differs from the textbook's: 1008 classes; average pools do not count the padding; the last block pools by maximum.
Module names are those of the converted weights that the field uses (``pt_inception-2015-12-05-6726825d.pth``). For
speed, batch normalisation is folded into the convolutions when the weights are read, and 1x1 convolutions of one input
run as one. Input: float [N, 3, 299, 299] in [-1, 1].
"""

from __future__ import annotations

import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from facegan.errors import UserError, brief, check_not_denied
from facegan.files import file_sha256

SIDE = 299
DIMENSIONS = 2048
CLASSES = 1008
_BN_EPSILON = 0.001
_BN_PARTS = ("weight", "bias", "running_mean", "running_var")

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""The field's names of one file: pytorch-fid's and torch-fidelity's."""
SHA256_START = "6726825d"


class _Conv(nn.Conv2d):
    """Convolution, ReLU; its weights arrive with batch normalisation, which is folded into them."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True):
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else (0, 0)
        super().__init__(inputs, outputs, (height, width), stride, padding)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return super().forward(x_NCHW).relu_()


_AVERAGE = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
_MAXIMUM = nn.MaxPool2d(3, 1, 1)
_HALVE = nn.MaxPool2d(3, 2)


class _Block(nn.Module):
    """Branches of convolutions beside each other, and a pooled one; their outputs stand one after the other.

    ``branches``: for each, its layers' (name, outputs, kernel, stride, padded). Two layers in a tuple see the same
    input and stand side by side. ``pooled``: outputs of the 1x1 convolution behind the pool; 0 for none.
    """

    def __init__(self, inputs: int, branches: Sequence[Sequence[tuple]], pool: nn.Module, pooled: int) -> None:
        super().__init__()
        self._chains: list[list[tuple[str, ...]]] = []
        for branch in branches:
            width, chain = inputs, []
            for layer in branch:
                beside = layer if isinstance(layer[0], tuple) else (layer,)
                for name, outputs, *shape in beside:
                    self.add_module(f"branch{name}", _Conv(width, outputs, *shape))
                chain.append(tuple(f"branch{name}" for name, *_ in beside))
                width = sum(outputs for _, outputs, *_ in beside)
            self._chains.append(chain)
        self._pool = pool
        self.branch_pool = _Conv(inputs, pooled, 1) if pooled else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        outputs = []
        for chain in self._chains:
            y_NCHW = x_NCHW
            for names in chain:
                parts = [getattr(self, name)(y_NCHW) for name in names]
                y_NCHW = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            outputs.append(y_NCHW)
        outputs.append(self.branch_pool(self._pool(x_NCHW)))
        return torch.cat(outputs, 1)


def _block_a(inputs: int, pooled: int) -> _Block:
    double = [("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3)]
    return _Block(inputs, [[("1x1", 64, 1)], [("5x5_1", 48, 1), ("5x5_2", 64, 5)], double], _AVERAGE, pooled)


def _block_b(inputs: int) -> _Block:
    double = [("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3, 2, False)]
    return _Block(inputs, [[("3x3", 384, 3, 2, False)], double], _HALVE, 0)


def _block_c(inputs: int, width: int) -> _Block:
    single = [("7x7_1", width, 1), ("7x7_2", width, (1, 7)), ("7x7_3", 192, (7, 1))]
    double = [("7x7dbl_1", width, 1), ("7x7dbl_2", width, (7, 1)), ("7x7dbl_3", width, (1, 7))]
    double += [("7x7dbl_4", width, (7, 1)), ("7x7dbl_5", 192, (1, 7))]
    return _Block(inputs, [[("1x1", 192, 1)], single, double], _AVERAGE, 192)


def _block_d(inputs: int) -> _Block:
    single = [("3x3_1", 192, 1), ("3x3_2", 320, 3, 2, False)]
    double = [("7x7x3_1", 192, 1), ("7x7x3_2", 192, (1, 7)), ("7x7x3_3", 192, (7, 1)), ("7x7x3_4", 192, 3, 2, False)]
    return _Block(inputs, [single, double], _HALVE, 0)


def _block_e(inputs: int, pool: nn.Module) -> _Block:
    single = [("3x3_1", 384, 1), (("3x3_2a", 384, (1, 3)), ("3x3_2b", 384, (3, 1)))]
    double = [("3x3dbl_1", 448, 1), ("3x3dbl_2", 384, 3), (("3x3dbl_3a", 384, (1, 3)), ("3x3dbl_3b", 384, (3, 1)))]
    return _Block(inputs, [[("1x1", 320, 1)], single, double], pool, 192)


class Inception(nn.Module):
    """The network; ``load_converted`` reads the field's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, 1, False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, 1, False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a, self.Mixed_6b = _block_b(288), _block_c(768, 128)
        self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _block_c(768, 160), _block_c(768, 160), _block_c(768, 192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = _block_d(768), _block_e(1280, _AVERAGE), _block_e(2048, _MAXIMUM)
        self.fc = nn.Linear(DIMENSIONS, CLASSES)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return float [N, 2048]: the means over the last block's pixels."""
        x_NCHW = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x_NCHW)))
        x_NCHW = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_HALVE(x_NCHW)))
        x_NCHW = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(_HALVE(x_NCHW))))
        x_NCHW = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x_NCHW)))))
        x_NCHW = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x_NCHW)))
        return x_NCHW.float().mean((2, 3))

    def class_logits(self, features_ND: Tensor) -> Tensor:
        """Return float [N, 1008] without the bias, as the Inception score takes them (Salimans et al. 2016)."""
        return features_ND @ self.fc.weight.float().T

    def load_converted(self, state: Mapping[str, Tensor]) -> None:
        """Read the converted weights, batch normalisation and all.

        Raises:
            ValueError: a name is missing or too many, or a shape is another.
        """
        own, left = {}, {name for name in state if not name.endswith("num_batches_tracked")}
        for name, module in self.named_modules():
            if isinstance(module, _Conv):
                keys = [f"{name}.conv.weight", *(f"{name}.bn.{part}" for part in _BN_PARTS)]
                missing = [key for key in keys if key not in left]
                if missing:
                    raise ValueError(f"{missing[0]} is missing")
                left -= set(keys)
                weight, gain, offset, mean, variance = (state[key].double() for key in keys)
                scale = gain / (variance + _BN_EPSILON).sqrt()
                own[f"{name}.weight"] = (weight * scale.reshape(-1, 1, 1, 1)).float()
                own[f"{name}.bias"] = (offset - mean * scale).float()
        own |= {name: state[name] for name in ("fc.weight", "fc.bias") if name in left}
        left -= {"fc.weight", "fc.bias"}
        if left:
            raise ValueError(f"{min(left)} is no weight of this network")
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(str(error).splitlines()[-1].strip()) from None


def _find_weights(file: Path | None) -> Path:
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

    The weights come from a file that is named, from torch's cache, or from the network; never anything instead.

    Raises:
        UserError: the weights cannot be had, are other ones, or are damaged.
    """
    path = _find_weights(file)
    digest = file_sha256(path)
    if not digest.startswith(SHA256_START):
        raise UserError(
            f"{path} is not the network that FID is defined with: its sha256 begins with {digest[:8]}, expected "
            f"{SHA256_START}; download it again"
        )
    network = Inception()
    try:
        network.load_converted(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch's reader meets a damaged file with any exception there is
        check_not_denied(error)
        raise UserError(f"{path} holds no weights of Inception ({brief(error)})") from None
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, digest
