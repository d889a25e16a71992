"""ONNX (opset 18): graphs that any runtime runs without Python, compared with PyTorch when they are written.

``faces.onnx`` is the whole way: latent [N, Z], of models with attributes labels [N, 40], and truncation [1] in; image
float [N, 3, R, R] in [-1, 1] out. Of style models ``mapping.onnx`` (latent, labels to style [N, W]) and
``synthesis.onnx`` (style to image) are its halves, for who moves styles. N is free.

Legend: N samples, Z latent, A the 40 attributes, W style, R resolution.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facegan import __version__
from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.errors import UserError, brief
from facegan.provenance import MADE_BY_NETWORK, STATEMENT
from facegan.sampling.sampler import mean_latents

OPSET = 18
LARGEST_DIFFERENCE = 1e-3
"""Between PyTorch and onnxruntime, of image values in [-1, 1] and of styles: more is refused."""
_CHECKED = 64
_SMALLEST_HALF = 64
"""Numbers in a weight that is worth storing as halves, where it loses nothing (shipped weights are halves)."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class OnnxFile:
    """A graph that was written: its size in bytes, and how far its outputs are from PyTorch's at most."""

    path: Path
    size: int
    difference: float


class _Faces(nn.Module):
    """Latents, labels and truncation to images, of a style generator; the latents of mean styles are a constant."""

    def __init__(self, generator: nn.Module, mean_latent_MZ: Tensor) -> None:
        super().__init__()
        self.generator = generator
        self.mean_latent = nn.Buffer(mean_latent_MZ)

    def forward(self, latent: Tensor, labels: Tensor | None, truncation: Tensor) -> Tensor:
        mapping = self.generator.mapping
        known = latent.new_zeros(1, ATTRIBUTE_COUNT) if labels is None else labels
        mean: Tensor = mapping.mean_style(self.mean_latent, known)  # type: ignore[union-attr, operator]
        return self.generator.synthesize(mean + truncation * (mapping(latent, labels) - mean))  # type: ignore[operator]


class _FacesOfLatents(_Faces):
    def forward(self, latent: Tensor, truncation: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(latent, None, truncation)


class _Mapping(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.mapping = generator.mapping

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.mapping(latent, labels)  # type: ignore[operator]


class _Synthesis(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, style: Tensor) -> Tensor:
        return self.generator.synthesize(style)  # type: ignore[operator]


class _Plain(nn.Module):
    """Latents and truncation to images, of a generator without styles."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor, truncation: Tensor) -> Tensor:
        return self.generator(latent * truncation)


def export_onnx(model: Model, folder: Path, *, report: Report = lambda *_: None) -> list[OnnxFile]:
    """Write a model's graphs into ``folder`` and compare each with PyTorch in onnxruntime.

    Raises:
        UserError: the extra ``onnx`` is missing, or a graph differs from PyTorch by more than 1e-3 and is not kept.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX needs {error.name}: pip install 'facegan[onnx]'") from None
    graphs = _graphs(model)
    written = []
    for number, (name, network, inputs, output) in enumerate(graphs):
        report("graphs", number, len(graphs))
        file = folder / f"{name}.onnx"
        _write(network, inputs, output, file, _about(model, name))
        difference = _difference(network, inputs, file)
        if not difference <= LARGEST_DIFFERENCE:
            file.unlink()
            raise UserError(f"{file.name} differs from PyTorch by {difference:.2g}: it is not kept; please report this")
        written.append(OnnxFile(file, file.stat().st_size, difference))
    report("graphs", len(graphs), len(graphs))
    return written


def _graphs(model: Model) -> list[tuple[str, nn.Module, dict[str, Tensor], str]]:
    """Return (name, network, {input: example}, output) of each file."""
    generator, random = model.generator, np.random.default_rng(0)
    latent = torch.from_numpy(model.latents(0, range(_CHECKED)))
    labels = torch.from_numpy(random.choice([-1.0, 0.0, 1.0], (_CHECKED, ATTRIBUTE_COUNT)).astype(np.float32))
    truncation = torch.tensor([0.7])
    if not model.style_layers:
        return [("faces", _Plain(generator), {"latent": latent, "truncation": truncation}, "image")]
    given = {"labels": labels} if model.recipe.attributes else {}
    style = torch.from_numpy(model.numbered_styles(1, range(_CHECKED)))
    whole = (_Faces if given else _FacesOfLatents)(generator, torch.from_numpy(mean_latents(model.recipe)))
    return [
        ("faces", whole, {"latent": latent, **given, "truncation": truncation}, "image"),
        ("mapping", _Mapping(generator), {"latent": latent, **given}, "style"),
        ("synthesis", _Synthesis(generator), {"style": style}, "image"),
    ]


def _about(model: Model, name: str) -> dict[str, Any]:
    """Return what the file says of itself."""
    return {
        "graph": name,
        "model": model.name,
        "weights_sha256": model.sha256,
        "images_seen": model.nimg,
        "resolution": model.resolution,
        "latent": {"size": model.recipe.latent_size, "distribution": model.recipe.latent},
        "labels": list(ATTRIBUTE_NAMES) if model.recipe.attributes else [],
        "label_values": "-1 absent, 1 present, 0 unknown; 2 and -2 are louder",
        "image_range": [-1, 1],
        "statement": f"faces are {STATEMENT}",
        "digital_source_type": MADE_BY_NETWORK.decode(),
        "facegan": __version__,
    }


def _write(network: nn.Module, inputs: dict[str, Tensor], output: str, file: Path, about: dict[str, Any]) -> None:
    import onnx

    many = torch.export.Dim("N", min=1, max=1 << 20)
    shapes = tuple(None if name == "truncation" else {0: many} for name in inputs)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(), tuple(inputs.values()), None, input_names=list(inputs), output_names=[output],
            dynamo=True, external_data=False, verbose=False, opset_version=OPSET, dynamic_shapes=shapes,
        )  # fmt: skip
    assert program is not None
    graph = program.model_proto
    _halve(graph)
    graph.producer_name, graph.producer_version = "facegan", __version__
    onnx.helper.set_model_props(graph, {"facegan": json.dumps(about)})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(file))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which tells of its own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _halve(model: Any) -> None:
    """Store weights that are halves already as float16, each widened by a Cast that runtimes compute once."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if array.size < _SMALLEST_HALF or not np.array_equal(half.astype(np.float32), array):
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(half, f"{tensor.name}_half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
    del graph.value_info[:]
    for node in graph.node:
        del node.metadata_props[:]


def _difference(network: nn.Module, inputs: dict[str, Tensor], file: Path) -> float:
    """Return the largest difference between PyTorch and onnxruntime, for the whole batch and for one sample."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        largest = 0.0
        for count in (_CHECKED, 1):
            given = {name: value if name == "truncation" else value[:count] for name, value in inputs.items()}
            with torch.inference_mode():
                expected = network(*given.values()).numpy()
            found = session.run(None, {name: value.numpy() for name, value in given.items()})[0]
            largest = max(largest, float(np.abs(found - expected).max()))
    except Exception as error:  # of the runtime's own kinds
        raise UserError(f"{file.name} does not run in onnxruntime ({brief(error)}); please report this") from error
    return largest
