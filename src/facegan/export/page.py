"""One HTML file with a model in it, which makes faces by itself: no server, no network, opened from disk.

The page's code is in ``web/``: ``engine`` computes in workers what ``Model.sample`` computes, ``page`` is what people
see. The weights are the snapshot's own file, as base64.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from inspect import signature
from pathlib import Path
from string import Template
from typing import Any

from safetensors.torch import load, save

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.config import to_dict
from facegan.editing.directions import STEM as DIRECTIONS
from facegan.errors import UserError
from facegan.files import write_bytes
from facegan.provenance import SHEET, SOFTWARE, STATEMENT, Provenance
from facegan.runs.folder import SHIPPED
from facegan.runs.snapshot import LABEL_PRIOR

NETWORKS = ("style", "dcgan", "classic-dcgan")
"""Those that the page can compute."""
_ENGINE = ("random", "safetensors", "kernel", "labels", "plain_network", "style_network", "model", "worker")
PAGE_MODULES = (
    "engine/safetensors", "page/attributes", "page/texts", "page/dom", "page/settings", "page/engine", "page/face",
    "page/png", "page/commands", "page/controls", "page/shelf", "page/wall", "page/face_view", "page/morph", "page/mix",
    "page/app",
)  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src '{hash}' blob: 'wasm-unsafe-eval'; worker-src blob:; img-src data: blob: {own}; "
    "style-src 'unsafe-inline'; connect-src {connect}; base-uri 'none'; form-action 'none'"
)
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "([^"]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)
_MARK = "@SENTENCE@"


def export_page(model: Model, out: Path, *, command: str = "", half: bool = False) -> int:
    """Write a page that makes the faces of ``model``, and return its size in bytes.

    ``command``: what the page's command lines call the model, by default its name. ``half``: store weights as float16,
    which halves the page and changes faces by a grey level or two.

    Raises:
        UserError: a network that the page cannot compute.
    """
    if model.recipe.network not in NETWORKS:
        raise UserError(
            f"{model.name} has {model.recipe.network} networks, which a page cannot compute: "
            f"it takes {', '.join(NETWORKS)}; facegan studio shows every model"
        )
    weights = (model.folder / f"{model.stem}.safetensors").read_bytes()
    if half:
        weights = save({name: tensor.half() for name, tensor in load(weights).items()})
    data = {
        "about": json.dumps(describe(model, command or model.name)).replace("<", "\\u003c"),
        "weights": _base64(weights),
        "prior": _base64(_beside(model, LABEL_PRIOR)) if model.label_prior else "",
        "directions": _base64(_beside(model, DIRECTIONS)),
        "engine": bundle(f"engine/{name}" for name in _ENGINE),
        "kernel": _base64(_web("engine/kernel-simd.wasm")),
        "plain-kernel": _base64(_web("engine/kernel-plain.wasm")),
    }
    page = html_page((*PAGE_MODULES, "page/start"), title=f"{model.name}: facegan", data=data)
    write_bytes(out, page)
    return len(page)


def html_page(modules: Iterable[str], *, title: str, data: Mapping[str, str], served: bool = False) -> bytes:
    """Return the page of these modules; ``data``: texts that its code finds by their names.

    ``served``: it may ask the server that it came from, and nobody else.
    """
    script = bundle(modules)
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    blocks = [f'<script type="text/plain" id="data-{name}">{text}</script>' for name, text in data.items() if text]
    own, connect = ("'self'", "'self'") if served else ("", "'none'")
    content = Template(_web("page/page.html").decode()).substitute(
        policy=_POLICY.format(hash=f"sha256-{digest}", own=own, connect=connect),
        title=html.escape(title),
        description=f"Faces {STATEMENT}: none of these people exists.",
        software=SOFTWARE,
        style=_web("page/page.css").decode(),
        data="\n".join(blocks),
        script=script,
    )
    return content.encode()


def bundle(modules: Iterable[str]) -> str:
    """Return modules of ``web/``, in an order in which each imports only earlier ones, as one script: a page that is
    opened from disk cannot import files. Each keeps its own scope."""
    return "\n".join(["const modules = {};", *(_wrapped(module) for module in modules)])


def _wrapped(module: str) -> str:
    text = _web(f"{module}.js").decode()
    exported = ", ".join(name for _, name in _EXPORT.findall(text))

    def imported(match: re.Match[str]) -> str:
        names, path = match.groups()
        return f'const {names.replace(" as ", ": ")} = modules["{posixpath.normpath(f"{module}/../{path}")}"];'

    body = _EXPORT.sub(r"\1", _IMPORT.sub(imported, text)).strip()
    return f'modules["{module}"] = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();'


def describe(model: Model, command: str) -> dict[str, Any]:
    """Return what the page knows of a model. ``command``: what a command calls it."""
    recipe = model.recipe
    kept = ("name", "network", "resolution", "latent", "latent_size", "attributes", "label_dropout", "generator")
    own = to_dict(recipe)
    options = signature(type(model.generator)).parameters.values()
    own["generator"] = {option.name: option.default for option in options} | own["generator"]
    shown = SHIPPED.get(model.name) is not None
    return {
        "name": model.name,
        "title": model.name if shown else f"{model.name}, {recipe.resolution} px",
        "command": command,
        "nimg": model.nimg,
        "sha256": model.sha256,
        "attributes": list(ATTRIBUTE_NAMES),
        "prior": model.label_prior is not None,
        "default_layer": int(model.generator.ends[1]) + 1 if model.style_layers else 0,  # type: ignore[index]
        "recipe": {name: own[name] for name in kept},
        "provenance": _provenance(model),
    }


def _provenance(model: Model) -> dict[str, str]:
    """Return the texts of the page's PNG files; the page puts in what it knows of the face."""
    known = Provenance(model=model.name, nimg=model.nimg, sha256=model.sha256)
    sentence = known.sentence()
    packets = (Provenance(model=model.name, nimg=model.nimg, sha256=model.sha256, sheet=each) for each in (False, True))
    xmp, sheet_xmp = (each.xmp().decode().replace(html.escape(sentence, quote=False), _MARK) for each in packets)
    return {"software": SOFTWARE, "sentence": sentence, "xmp": xmp, "sheet": SHEET.decode(), "sheetXmp": sheet_xmp}


def _beside(model: Model, stem: str) -> bytes:
    """Return a file that lies beside the weights; nothing if there is none."""
    file = model.folder / f"{stem}.safetensors"
    return file.read_bytes() if file.is_file() else b""


def _web(name: str) -> bytes:
    return files("facegan").joinpath("web", *name.split("/")).read_bytes()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
