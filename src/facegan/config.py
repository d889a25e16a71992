"""Frozen settings, checked when they are made, and their way to JSON and back."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from facegan.errors import UserError

Loss = Literal["non-saturating", "relativistic", "hinge", "least-squares", "wasserstein"]
Augmentation = Literal["none", "diffaugment", "ada"]

T = TypeVar("T")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """One network's optimiser."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 2e-4
    beta1: float = 0.5
    """Adam: decay of the mean of gradients."""
    beta2: float = 0.999
    """Adam: decay of the mean of squared gradients."""
    epsilon: float = 1e-7
    """Adam: added to the root of the second moment after its bias correction (Keras adds its 1e-7 before it)."""
    momentum: float = 0.0
    """SGD only."""
    nesterov: bool = False
    """SGD only (needs momentum)."""

    def __post_init__(self) -> None:
        _require(self.name in ("adam", "sgd"), f"optimizer name={self.name!r}: choose adam or sgd")
        _require(0 < self.learning_rate <= 1, f"learning_rate={self.learning_rate}: choose one above 0 and at most 1")
        _require(0 <= self.beta1 < 1, f"beta1={self.beta1}: choose one from 0 and below 1")
        _require(0 <= self.beta2 < 1, f"beta2={self.beta2}: choose one from 0 and below 1")
        _require(0 < self.epsilon < 1, f"epsilon={self.epsilon}: choose one between 0 and 1, such as 1e-7")
        _require(0 <= self.momentum < 1, f"momentum={self.momentum}: choose one from 0 and below 1")
        _require(not self.nesterov or self.momentum > 0, "nesterov=true needs a momentum above 0")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Networks, losses and optimisers: everything about a training but its data, its batch and its seed."""

    name: str
    network: str
    """A key of ``facegan.networks.NETWORKS``."""
    resolution: int
    latent: Literal["normal", "uniform"] = "normal"
    """N(0, 1), or U(-1, 1)."""
    latent_size: int = 100
    generator: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the generator, such as ``width``."""
    discriminator: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the discriminator, such as ``dropout``."""
    generator_optimizer: OptimizerConfig = OptimizerConfig()
    discriminator_optimizer: OptimizerConfig = OptimizerConfig()
    discriminator_batch: Literal["joint", "separate"] = "joint"
    """joint: D sees real and fake put together in one batch, so its batch normalisation mixes them; separate: one
    pass for each."""
    generator_batch: Literal["alone", "joint"] = "alone"
    """What D sees in G's step. alone: G's images only; joint: real and fake put together, the loss on the fakes, so
    that D's batch normalisation has the statistics it was trained with."""
    fakes: Literal["training", "inference", "shared"] = "training"
    """How G makes the fakes that D learns from. training: with the batch's statistics; inference: with moving ones, as
    ``predict`` does; shared: D learns from the very images of G's own step, so that one pass of G serves both."""
    real_label: float = 1.0
    """D's target for real images; below 1 is one-sided label smoothing (Salimans et al. 2016, section 3.4)."""
    loss: Loss = "non-saturating"
    """What D and G learn from D's logits: see ``facegan.losses``."""
    r1: float = 0.0
    """Weight gamma of D's squared gradient at real images, halved (Mescheder et al. 2018, equation 9); 0: none."""
    r2: float = 0.0
    """The same at fakes."""
    gradient_penalty: float = 0.0
    """Weight of (|D's gradient| - 1)^2 between real images and fakes (Gulrajani et al. 2017); 0: none."""
    penalty_every: int = 1
    """Steps between two steps with penalties, which then weigh as many times more (Karras et al. 2020, section 4.2)."""
    attributes: bool = False
    """Make faces of asked-for attributes; the discriminator judges whether a face has them."""
    label_dropout: float = 0.2
    """Share of faces whose attributes are all withheld; of the others, a part that is drawn for each face."""
    label_unlabelled: bool = True
    """Let attributes-net label the faces that have no attributes, as surely as it is sure itself."""
    augment: Augmentation = "none"
    """Changes of all images that D sees: see ``facegan.augment``."""
    augment_target: float = 0.6
    """ADA: the mean sign of D's logits at real images that its probability is steered to (Karras et al. 2020)."""
    augment_images: int = 500_000
    """ADA: images in which its probability may go from 0 to 1."""
    flip: bool = False
    """Mirror half of the real images."""
    rate_steady: int = 0
    """Images after which the learning rates fall as 1 / sqrt(images); 0: they never do."""
    ema_halflife: int = 0
    """Images in which a weight's part in the averaged generator halves; 0: no averaging."""

    def __post_init__(self) -> None:
        _require(0 < self.resolution <= 4096, f"resolution={self.resolution}: choose one from 1 to 4096, such as 64")
        _require(self.latent in ("normal", "uniform"), f"latent={self.latent!r}: choose normal or uniform")
        _require(1 <= self.latent_size <= 4096, f"latent_size={self.latent_size}: choose one from 1 to 4096")
        _require(
            self.discriminator_batch in ("joint", "separate"),
            f"discriminator_batch={self.discriminator_batch!r}: choose joint or separate",
        )
        _require(
            self.generator_batch in ("alone", "joint"),
            f"generator_batch={self.generator_batch!r}: choose alone or joint",
        )
        _require(
            self.fakes in ("training", "inference", "shared"),
            f"fakes={self.fakes!r}: choose training, inference or shared",
        )
        _require(0.5 < self.real_label <= 1, f"real_label={self.real_label}: choose one above 0.5 and at most 1")
        _require(
            self.real_label == 1 or self.loss == "non-saturating",
            f"real_label={self.real_label}: only the loss non-saturating has labels to smooth, not {self.loss}",
        )
        for name, choices in (("loss", typing.get_args(Loss)), ("augment", typing.get_args(Augmentation))):
            value = getattr(self, name)
            _require(value in choices, f"{name}={value!r}: choose {', '.join(choices)}")
        for name in ("r1", "r2", "gradient_penalty"):
            value = getattr(self, name)
            _require(0 <= value <= 1e6, f"{name}={value}: choose 0 (none) or a weight of at most a million")
        _require(
            self.loss != "wasserstein" or self.gradient_penalty + self.r1 + self.r2 > 0,
            "loss=wasserstein has no bound without a penalty on D's gradient: choose gradient_penalty=10 too, with a "
            "discriminator that has no batch normalisation, such as style-s's",
        )
        _require(
            1 <= self.penalty_every <= 4096, f"penalty_every={self.penalty_every}: choose 1 (always) to 4096 steps"
        )
        _require(-1 <= self.augment_target <= 1, f"augment_target={self.augment_target}: choose one from -1 to 1")
        _require(1 <= self.augment_images < 2**62, f"augment_images={self.augment_images}: choose a number of images")
        _require(0 <= self.label_dropout <= 1, f"label_dropout={self.label_dropout}: choose a share from 0 to 1")
        _require(0 <= self.rate_steady < 2**62, f"rate_steady={self.rate_steady}: choose 0 (off) or a number of images")
        _require(self.ema_halflife >= 0, f"ema_halflife={self.ema_halflife}: choose 0 (off) or a number of images")

    @property
    def generator_options(self) -> dict[str, Any]:
        """All arguments of the generator."""
        return {"resolution": self.resolution, "latent_size": self.latent_size, **self.generator}

    @property
    def discriminator_options(self) -> dict[str, Any]:
        """All arguments of the discriminator."""
        return {"resolution": self.resolution, **self.discriminator}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run is. None of it may change during the run's life."""

    recipe: RecipeConfig
    batch: int = 64
    """Real images of one step, over all processes."""
    seed: int = 0
    data: str = ""
    """Content hash of the images that training sees."""
    init: str = ""
    """sha256 of the weights that the run began with, or "" if its seed made them."""
    warmup: int = 0
    """Images over which the learning rates rise from 0 to their own."""

    def __post_init__(self) -> None:
        _require(2 <= self.batch <= 65536, f"--batch {self.batch}: choose a batch from 2 to 65536 images")
        _require(0 <= self.seed < 2**63, f"--seed {self.seed}: choose a seed from 0 to 2^63 - 1")
        _require(0 <= self.warmup < 2**62, f"--warmup {self.warmup}: choose 0 (none) or a number of images")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain dicts, for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a config of the given class from plain dicts. ``where`` names the file in messages.

    Raises:
        UserError: an unknown field, a missing one, or a value of another type.
    """
    _require(isinstance(values, Mapping), f"{where}: expected a table of settings, found {type(values).__name__}")
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    _require(
        not unknown, f"{where}: unknown setting {', '.join(unknown)}; was it written by another version of facegan?"
    )
    arguments: dict[str, Any] = {}
    for name, item in fields.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], f"{where}: {name}")
        else:
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            _require(not required, f"{where}: the setting {name} is missing")
    return kind(**arguments)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    origin = typing.get_origin(hint)
    if origin is Literal:
        _require(value in typing.get_args(hint), f"{where}={value!r}: choose {' or '.join(typing.get_args(hint))}")
        return value
    if origin is not None and issubclass(origin, Mapping):
        _require(isinstance(value, Mapping), f"{where}: expected a table, found {value!r}")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _require(type(value) is hint, f"{where}={value!r}: expected {hint.__name__}, found {type(value).__name__}")
    return value


FIXED = ("name", "network", "resolution")
"""Fields of a recipe that are not to be set: another recipe, or other data, is what is wanted."""


def with_settings(recipe: RecipeConfig, settings: list[str]) -> RecipeConfig:
    """Return the recipe with ``field=value`` settings applied; a dot reaches into a part: ``generator.width=32``.

    Raises:
        UserError: no ``=``, an unknown field (the nearest is proposed) or a value that does not fit it.
    """
    values = to_dict(recipe)
    for setting in settings:
        path, equals, text = setting.partition("=")
        _require(equals == "=" and path != "", f"--set {setting}: write it as field=value, such as --set flip=true")
        place, known = values, flatten(values)
        *parents, last = path.split(".")
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else {}
        if path in FIXED:
            raise UserError(f"--set {setting}: {path} is what the recipe is; choose another --recipe, or other data")
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            near = difflib.get_close_matches(path, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"--set {setting}: the recipe {recipe.name} has no field {path}; {hint}")
        place[last] = _parse(text, place[last], f"--set {setting}")
    return from_dict(RecipeConfig, values, "--set")


def _parse(text: str, old: Any, where: str) -> Any:
    """Return the text as a value of the type of ``old``."""
    if isinstance(old, bool):
        words = {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        _require(text.lower() in words, f"{where}: choose true or false")
        return words[text.lower()]
    try:
        if isinstance(old, int):
            return parse_count(text)
        return float(text) if isinstance(old, float) else text
    except ValueError:
        kind = "a whole number" if isinstance(old, int) else "a number"
        raise UserError(f"{where}: expected {kind}, found {text!r}") from None


def parse_count(text: str) -> int:
    """Return the whole number in ``"64"``, ``"100k"``, ``"2M"`` or ``"1.5M"``.

    Raises:
        ValueError: anything else.
    """
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = float(text[:-1] if scale > 1 else text) * scale
    if not math.isfinite(number) or number != int(number):
        raise ValueError(text)
    return int(number)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differences(old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    """Return (field, old value, new value) of every setting in which two configs differ."""
    before, after = flatten(to_dict(old)), flatten(to_dict(new))
    return [
        (name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _brief(value: Any) -> str:
    """Return a setting in words; of a hash the first digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1...", str(value))


def table_of(changed: list[tuple[str, Any, Any]], before: str, after: str) -> str:
    """Return the lines of a table of settings that differ, as ``differences`` gives them, under these two headings."""
    rows = [("setting", before, after), *((name, _brief(old), _brief(new)) for name, old, new in changed)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)
