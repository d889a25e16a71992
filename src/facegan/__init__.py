"""facegan: train a face generator on CelebA, know honestly how good it is, and use the faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.api import Model as Model
    from facegan.api import build as build
    from facegan.api import evaluate as evaluate
    from facegan.api import load as load

__version__ = "0.3.0"
__all__ = ["Model", "__version__", "build", "evaluate", "load"]


def __getattr__(name: str) -> Any:
    """Import the API when it is first used: ``import facegan`` and ``facegan --help`` need no torch."""
    if name in ("Model", "build", "evaluate", "load"):
        from facegan import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
