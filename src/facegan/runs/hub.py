"""Models of the Hugging Face hub: downloaded once, JSON and safetensors only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from facegan.errors import UserError, brief
from facegan.files import cache_folder

_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]{1,128})?")
_PATTERNS = ("*.json", "*.safetensors")


def download(name: str) -> Path:
    """Return the folder of a hub's model, ``USER/NAME`` or ``USER/NAME@REVISION``, downloaded if it is not there yet.

    ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE=1`` mean what they mean to huggingface_hub.

    Raises:
        UserError: the name is none, the extra is missing, or the hub does not give it.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UserError(f"hf:{name}: write a model of the Hugging Face hub as hf:USER/NAME, or hf:USER/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"hf:{name} needs huggingface_hub: pip install 'facegan[hub]'") from None
    repository, _, revision = name.partition("@")
    folder = cache_folder() / "hub" / repository / (revision or "main")
    try:
        # Files of our own, and not links into a cache: what is loaded is an ordinary file.
        snapshot_download(
            repository, revision=revision or None, allow_patterns=list(_PATTERNS), local_dir=folder,
            endpoint=os.environ.get("HF_ENDPOINT"),
        )  # fmt: skip
    except Exception as error:  # of the hub, of HTTP, of the file system
        if (folder / "config.json").is_file() and not _is_refusal(error):
            return folder
        raise UserError(
            f"hf:{name} cannot be downloaded ({brief(error)}): check its name, or the connection"
        ) from error
    return folder


def _is_refusal(error: Exception) -> bool:
    """Return whether the hub said no: another name would not help what is there already."""
    return type(error).__name__ in ("RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError")
