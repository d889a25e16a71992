"""What ``gpu.py`` leaves behind: a table, and a run's weights in small files that make a model again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 16 << 20
STEMS = ("ema", "discriminator")


def write_weights(model: Path, out: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """Write the float16 weights of a run's averaged generator and its discriminator, files of at most ``most`` bytes.

    Return what ``join`` needs beside the files.
    """
    import torch
    from safetensors.torch import save_file

    from facegan.runs.folder import find_snapshot
    from facegan.runs.snapshot import read_tensors

    info = find_snapshot(model)
    files: dict[str, list[str]] = {}
    for stem in STEMS if "ema.safetensors" in info.sha256 else ("generator", STEMS[1]):
        parts: list[dict[str, torch.Tensor]] = [{}]
        size = 0
        for name, tensor in read_tensors(info, stem).items():
            half = tensor.half().contiguous() if tensor.dtype == torch.float32 else tensor
            added = half.numel() * half.element_size()
            if parts[-1] and size + added > most - (1 << 16):  # what its header may need is left free
                parts.append({})
                size = 0
            parts[-1][name] = half
            size += added
        files[stem] = [f"{stem}-{number}.safetensors" for number in range(len(parts))]
        for name, part in zip(files[stem], parts, strict=True):
            save_file(part, out / name)
    return {"nimg": info.nimg, "config": info.config, "files": files}


def join(results: Path, out: Path) -> None:
    """Write the model whose weights ``write_weights`` left in a folder of results.

    Raises:
        UserError: ``out`` cannot be written.
    """
    from safetensors.torch import load_file

    from facegan.runs.snapshot import write_snapshot

    weights = json.loads((results / "results.json").read_text(encoding="utf-8"))["weights"]
    tensors = {
        stem: {name: tensor for file in files for name, tensor in load_file(results / file).items()}
        for stem, files in weights["files"].items()
    }
    write_snapshot(out, nimg=weights["nimg"], config=weights["config"], state={}, tensors=tensors)


def table(found: dict[str, Any]) -> str:
    """Return Markdown of what ``gpu.py`` found; steps that failed say so."""
    machine = found.get("machine", {})
    lines = [
        f"{machine.get('accelerator') or 'no GPU'}, {machine.get('processor')}, {machine.get('cores')} cores, "
        f"torch {machine.get('torch')}, {machine.get('system')}",
        "",
        "| step | seconds | |",
        "|---|---|---|",
    ]
    for name, step in found["steps"].items():
        said = "; ".join(f"{key.replace('_', ' ')} {_brief(value)}" for key, value in step["found"].items())
        lines.append(f"| {name} | {step['seconds']:.1f} | {said if step['ok'] else 'FAILED: ' + step['error']} |")
    rates = [
        (name, step["found"]["images_per_s"])
        for name, step in found["steps"].items()
        if step["ok"] and step["found"].get("images_per_s")
    ]
    lines += ["", "| training | images/s |", "|---|---|", *(f"| {name} | {rate:,.1f} |" for name, rate in rates)]
    if scores := found.get("receipt", {}).get("scores"):
        lines += ["", "| space | score | value | 95% interval | floor |", "|---|---|---|---|---|"]
        for score in scores:
            estimate, floor = score["estimate"], score.get("floor") or {}
            lines.append(
                f"| {score['space']} | {score['name']} | {estimate['value']:.4g} | {estimate['low']:.4g} to "
                f"{estimate['high']:.4g} | {_brief(floor.get('value', ''))} |"
            )
    return "\n".join(lines) + "\n"


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
