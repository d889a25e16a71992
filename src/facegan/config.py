"""Frozen settings, checked when they are made, and their way to JSON and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from facegan.errors import UserError

Loss = Literal["non-saturating", "relativistic", "hinge", "least-squares", "wasserstein"]
Augmentation = Literal["none", "diffaugment", "ada", "scheduled"]
Milestones = tuple[tuple[int, float], ...]
"""A function of images seen: (images, value) pairs, linear between them and constant outside; empty: none."""

T = TypeVar("T")

_RENAMED = {
    "rate_steady": "lr_decay_start",
    "augment_target": "ada_target",
    "augment_images": "ada_images",
    "label_unlabelled": "pseudo_labels",
}
"""Fields of a recipe by the names that version 0.1.0 stored, and today's."""
_RENAMED_OPTIONS = {"most": "max_channels", "deep": "second_conv_max_side"}
"""The same of the style networks' arguments."""
_ADDED_OPTIONS: dict[str, dict[str, Any]] = {
    "generator": {"mapping_lr_multiplier": 0.01, "fine_layer": False},
    "discriminator": {"feature_heads": False, "fine_block": False},
}
"""Arguments of the style networks that older versions did not store, with the values they had."""


def require(condition: bool, message: str) -> None:
    """Raise a ``UserError`` with this message unless the condition holds."""
    if not condition:
        raise UserError(message)


def _require_choice(hint: Any, value: Any, where: str) -> None:
    choices = typing.get_args(hint)
    require(value in choices, f"{where}={value!r}: choose {', '.join(choices[:-1])} or {choices[-1]}")


def _check_choices(config: Any) -> None:
    """Raise a ``UserError`` unless each ``Literal`` field of a config holds one of its words."""
    for name, hint in typing.get_type_hints(type(config)).items():
        if typing.get_origin(hint) is Literal:
            _require_choice(hint, getattr(config, name), name)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """One network's optimizer."""

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
        _check_choices(self)
        require(0 < self.learning_rate <= 1, f"learning_rate={self.learning_rate}: choose one above 0 and at most 1")
        require(0 <= self.beta1 < 1, f"beta1={self.beta1}: choose one from 0 and below 1")
        require(0 <= self.beta2 < 1, f"beta2={self.beta2}: choose one from 0 and below 1")
        require(0 < self.epsilon < 1, f"epsilon={self.epsilon}: choose one between 0 and 1, such as 1e-7")
        require(0 <= self.momentum < 1, f"momentum={self.momentum}: choose one from 0 and below 1")
        require(not self.nesterov or self.momentum > 0, "nesterov=true needs a momentum above 0")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Networks, losses and optimizers: everything about a training but its data, its batch and its seed."""

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
    generator_batch: Literal["alone", "joint", "moving"] = "alone"
    """What D sees in G's step. alone: G's images only; joint: real and fake put together, the loss on the fakes, so
    that D's batch normalisation has the statistics it was trained with; moving: G's images only, D's batch
    normalisation with its moving statistics, as Keras computes a layer that is frozen."""
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
    penalty_schedule: Milestones = ()
    """Factor of r1, r2 and gradient_penalty over images: ``1@0,0.1@4M`` falls evenly from 1 to a tenth."""
    penalty_every: int = 1
    """Steps between two steps with penalties, which then weigh as many times more (Karras et al. 2020, section 4.2)."""
    feature_weight: float = 0.1
    """Weight in G's loss of each head on attributes-net's feature maps, where D has them
    (``discriminator.feature_heads``)."""
    feature_penalty: float = 0.3
    """Weight of the heads' squared gradient at real and made faces' feature maps, halved, as r1's."""
    attributes: bool = False
    """Make faces of asked-for attributes; the discriminator judges whether a face has them."""
    label_dropout: float = 0.2
    """Share of faces whose attributes are all withheld; of the others, a part that is drawn for each face."""
    pseudo_labels: bool = True
    """Let attributes-net label the faces that have no attributes, as surely as it is sure itself."""
    augment: Augmentation = "none"
    """Changes of all images that D sees: see ``facegan.augment``."""
    ada_target: float = 0.6
    """ADA: the mean sign of D's logits at real images that its probability is adjusted towards (Karras et al. 2020)."""
    ada_images: int = 500_000
    """ADA: images in which its probability may go from 0 to 1."""
    augment_schedule: Milestones = ()
    """augment=scheduled: the probability of ADA's changes, over images: ``0@500k,0.15@4M``."""
    instance_noise: Milestones = ()
    """Standard deviation, over images, of white noise on all images that D sees: ``0.1@0,0@100k`` (Sonderby et al.
    2017, section 3.2); empty: none."""
    flip: bool = False
    """Mirror half of the real images."""
    lr_decay_start: int = 0
    """Images after which the learning rates fall as 1 / sqrt(images); 0: they never do."""
    lr_schedule: Milestones = ()
    """Factor of both learning rates over images, on top of warm-up and decay: ``1@7M,0.01@10M`` is a final anneal."""
    generator_start: int = 0
    """Images that D learns from alone before G's first step: for a fresh D beside a G that is trained already."""
    ema_halflife: int = 0
    """Images in which a weight's part in the averaged generator halves; 0: no averaging. Early in a run the half-life
    is at most 5% of the images seen, so half a million is reached after ten million only."""
    extra_ema_halflives: tuple[int, ...] = ()
    """Half-lives of further averages that are kept beside it, to choose from afterwards: ``100k,500k``."""

    def __post_init__(self) -> None:
        if self.network == "style":  # one spelling, so that configs compare
            for part in ("generator", "discriminator"):
                object.__setattr__(self, part, _current_options(part, getattr(self, part)))
        _check_choices(self)
        require(0 < self.resolution <= 4096, f"resolution={self.resolution}: choose one from 1 to 4096, such as 64")
        require(1 <= self.latent_size <= 4096, f"latent_size={self.latent_size}: choose one from 1 to 4096")
        require(0.5 < self.real_label <= 1, f"real_label={self.real_label}: choose one above 0.5 and at most 1")
        require(
            self.real_label == 1 or self.loss == "non-saturating",
            f"real_label={self.real_label}: only the loss non-saturating has labels to smooth, not {self.loss}",
        )
        require(0 <= self.label_dropout <= 1, f"label_dropout={self.label_dropout}: choose a share from 0 to 1")
        self._check_penalties_and_augmentation()
        self._check_schedules()

    def _check_penalties_and_augmentation(self) -> None:
        for name in ("r1", "r2", "gradient_penalty", "feature_weight", "feature_penalty"):
            value = getattr(self, name)
            require(0 <= value <= 1e6, f"{name}={value}: choose 0 (none) or a weight of at most a million")
        require(
            self.loss != "wasserstein" or self.gradient_penalty + self.r1 + self.r2 > 0,
            "loss=wasserstein has no bound without a penalty on D's gradient: choose gradient_penalty=10 too, with a "
            "discriminator that has no batch normalisation, such as style-s's",
        )
        require(1 <= self.penalty_every <= 4096, f"penalty_every={self.penalty_every}: choose 1 (always) to 4096 steps")
        require(-1 <= self.ada_target <= 1, f"ada_target={self.ada_target}: choose one from -1 to 1")
        require(1 <= self.ada_images < 2**62, f"ada_images={self.ada_images}: choose a number of images")
        require(
            (self.augment == "scheduled") == bool(self.augment_schedule),
            "augment=scheduled and augment_schedule go together: --set augment=scheduled --set "
            "augment_schedule=0@500k,0.15@4M",
        )

    def _check_schedules(self) -> None:
        for name in ("lr_decay_start", "generator_start", "ema_halflife"):
            value = getattr(self, name)
            require(0 <= value < 2**62, f"{name}={value}: choose 0 (off) or a number of images")
        halflives = self.extra_ema_halflives
        require(
            all(0 < halflife < 2**62 for halflife in halflives)
            and len({self.ema_halflife, *halflives}) == len(halflives) + 1,
            f"extra_ema_halflives={milestone_text(halflives)}: choose numbers of images, each once, other than "
            f"ema_halflife={self.ema_halflife}",
        )
        require(not halflives or self.ema_halflife > 0, "extra_ema_halflives needs an ema_halflife too")
        largest = {"lr_schedule": 100, "penalty_schedule": 1e6, "augment_schedule": 1, "instance_noise": 10}
        for name, most in largest.items():
            _check_milestones(name, getattr(self, name), most)

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
    start_nimg: int = 0
    """Where the clock of a run stands that began with a model's weights and went on counting its images."""

    def __post_init__(self) -> None:
        require(2 <= self.batch <= 65536, f"--batch {self.batch}: choose a batch from 2 to 65536 images")
        require(0 <= self.seed < 2**63, f"--seed {self.seed}: choose a seed from 0 to 2^63 - 1")
        require(0 <= self.warmup < 2**62, f"--warmup {self.warmup}: choose 0 (none) or a number of images")
        require(0 <= self.start_nimg < 2**62, f"start_nimg={self.start_nimg}: choose 0 or a number of images")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain dicts, for JSON."""
    return dataclasses.asdict(config)


def from_dict(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a config of the given class from plain dicts. ``where`` names the file in messages.

    Raises:
        UserError: an unknown field, a missing one, or a value of another type.
    """
    require(isinstance(values, Mapping), f"{where}: expected a table of settings, found {type(values).__name__}")
    if kind is RecipeConfig:
        values = {_RENAMED.get(name, name): value for name, value in values.items()}
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    require(
        not unknown, f"{where}: unknown setting {', '.join(unknown)}; was it written by another version of facegan?"
    )
    arguments: dict[str, Any] = {}
    for name, item in fields.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], f"{where}: {name}")
        else:
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            require(not required, f"{where}: the setting {name} is missing")
    return kind(**arguments)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    origin = typing.get_origin(hint)
    if origin is Literal:
        _require_choice(hint, value, where)
        return value
    if origin is tuple:
        return _convert_tuple(hint, value, where)
    if origin is not None and issubclass(origin, Mapping):
        require(isinstance(value, Mapping), f"{where}: expected a table, found {value!r}")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        require(abs(value) < 10**300, f"{where}: the number is too large")
        return float(value)
    require(type(value) is hint, f"{where}={value!r}: expected {hint.__name__}, found {type(value).__name__}")
    return value


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    """Return a list of JSON as the tuple that a field wants: ``tuple[x, ...]`` or ``tuple[x, y]``."""
    require(isinstance(value, (list, tuple)), f"{where}: expected a list, found {value!r}")
    items = typing.get_args(hint)
    if items[-1] is Ellipsis:
        return tuple(_convert(items[0], item, where) for item in value)
    require(len(value) == len(items), f"{where}: expected {len(items)} values, found {value!r}")
    return tuple(_convert(item_hint, item, where) for item_hint, item in zip(items, value, strict=True))


def _check_milestones(name: str, milestones: Milestones, most: float) -> None:
    """Raise a ``UserError`` unless images rise from milestone to milestone and values are in [0, most]."""
    images = [nimg for nimg, _ in milestones]
    require(
        images == sorted(set(images)) and all(0 <= nimg < 2**62 for nimg in images),
        f"{name}={milestone_text(milestones)}: images must rise from milestone to milestone, such as 1@1M,0.1@2M",
    )
    require(
        all(0 <= value <= most for _, value in milestones),
        f"{name}={milestone_text(milestones)}: choose values from 0 to {most:g}",
    )


def milestone_text(values: tuple[Any, ...]) -> str:
    """Return milestones, or a tuple of numbers, as they are written after ``--set``."""
    return ",".join(
        f"{item[1]:g}@{_count_text(item[0])}" if isinstance(item, tuple) else _count_text(item) for item in values
    )


def _count_text(count: int) -> str:
    for letter, scale in (("M", 1_000_000), ("k", 1_000)):
        if count and count % scale == 0:
            return f"{count // scale}{letter}"
    return str(count)


def renamed(path: str) -> str:
    """Return today's name of a setting that version 0.1.0 called otherwise; others as they are."""
    part, dot, option = path.partition(".")
    if dot and part in ("generator", "discriminator"):
        return f"{part}.{_RENAMED_OPTIONS.get(option, option)}"
    return _RENAMED.get(path, path)


def _current_options(part: str, options: Mapping[str, Any]) -> dict[str, Any]:
    now = {_RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}
    return _ADDED_OPTIONS.get(part, {}) | now
