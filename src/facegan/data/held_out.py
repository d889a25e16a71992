"""Which images are held out: no network ever trains on them; scores, floors and audits use them."""

from __future__ import annotations

import zlib
from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.data.packed import PackedDataset

Rule = Literal["identities", "partition", "pictures", "none"]
"""People whose identity is divisible by 10; CelebA's valid and test partitions; every tenth picture or so, by its
name, whoever is on it; or none."""
RULES: tuple[Rule, ...] = get_args(Rule)
ONE_IN = 10
"""One person or picture in so many is held out."""
_FEWEST_PICTURES = 100
"""Of fewer pictures, a tenth is too little to compare anything with."""
DESCRIPTIONS: dict[Rule, str] = {
    "identities": f"people whose identity is divisible by {ONE_IN}",
    "partition": "the valid and test partitions",
    "pictures": "chosen by file name",
    "none": "no image",
}


def describe(rule: Rule, identities_N: np.ndarray, held_out_N: np.ndarray) -> str:
    """Return who is held out, and what is known of whether the same people are trained on, in a phrase."""
    if rule in ("identities", "none"):
        return DESCRIPTIONS[rule]
    people, trained_on = (
        set(identities_N[mask_N & (identities_N > 0)].tolist()) for mask_N in (held_out_N, ~held_out_N)
    )
    if people and (identities_N[held_out_N] > 0).all():
        shared = len(people & trained_on) or "none"
        return f"{DESCRIPTIONS[rule]}; {shared} of the {len(people):,} people in them are trained on too"
    if rule == "partition":
        return f"{DESCRIPTIONS[rule]}; whether the same people are in train is not known here; in CelebA they are not"
    return f"{DESCRIPTIONS[rule]}; other pictures of the same people may be trained on"


def held_out_warnings(dataset: PackedDataset, wanted: str, known: Container[str], *, made: int = 0) -> Iterator[str]:
    """Yield what deserves a warning of who is held out.

    ``wanted``: the rule that was asked for; ``known``: the labels that there are, such as "partition"; ``made``: how
    many of the faces say that a network made them, and show no real person.
    """
    held_out_N, rule = dataset.held_out(), dataset.hold_out
    known_N = np.asarray(dataset.identities)[np.asarray(dataset.identities) > 0]
    if held_out_N.all():
        why = (
            "is 0 train, 1 valid and 2 test in the partitions?"
            if rule == "partition"
            else "are these identities right?"
        )
        yield f"every image is held out, and none is left to train on: {why}"
    elif (
        rule == "identities"
        and not made
        and len(known_N) >= _FEWEST_PICTURES
        and len(np.unique(known_N)) == len(known_N)
    ):
        yield "each picture has an identity of its own: are these numbers of rows, and of no people?"
    elif held_out_N.mean() > 0.5:
        yield f"more than half of the images are held out; {np.count_nonzero(~held_out_N):,} are left to train on"
    elif rule != "none" and not held_out_N.any():
        yield f"no image is held out ({DESCRIPTIONS[rule]}): nothing is left to score with"
    unknown = int(np.count_nonzero(np.asarray(dataset.identities) == 0))
    if rule == "identities" and unknown:
        yield f"of {unknown:,} of {len(dataset):,} images the person is not known: they are trained on, whoever it is"
    if "partition" in known and wanted == "auto" and rule in ("pictures", "none"):
        yield f"the partitions put every image into train; held out instead: {DESCRIPTIONS[rule]}"


def choose_rule(wanted: str, identities_N: np.ndarray, partitions_N: np.ndarray) -> Rule:
    """Return the rule for a dataset.

    ``auto`` takes identities if any is known, else partitions, else pictures; of fewer than 100 pictures, none.

    Raises:
        UserError: no such rule, or what it goes by is not known.
    """
    has_people, has_partitions = bool((identities_N > 0).any()), bool((partitions_N > 0).any())
    if wanted == "auto":
        if has_people or has_partitions:
            return "identities" if has_people else "partition"
        return "pictures" if len(identities_N) >= _FEWEST_PICTURES else "none"
    rule = next((rule for rule in RULES if rule == wanted), None)
    if rule is None:
        raise UserError(f"--hold-out {wanted}: expected auto, {', '.join(RULES[:-1])} or {RULES[-1]}")
    if rule == "identities" and not has_people:
        raise UserError("--hold-out identities: no identity is known; give identity_CelebA.txt with --identities")
    if rule == "partition" and not has_partitions:
        raise UserError(
            "--hold-out partition: no image of the valid or test partition is known; give list_eval_partition.txt "
            "with --partition"
        )
    return rule


def held_out_mask(rule: Rule, identities_N: np.ndarray, partitions_N: np.ndarray, files: Sequence[str]) -> np.ndarray:
    """Return bool [N]: the image is held out. ``files`` are the images' names."""
    if rule == "identities":
        return (identities_N != 0) & (identities_N % ONE_IN == 0)
    if rule == "partition":
        return partitions_N > 0
    if rule == "pictures":
        names = (name.encode("utf-8", "surrogateescape") for name in files)
        return np.fromiter((zlib.crc32(name) % ONE_IN == 0 for name in names), bool, len(files))
    return np.zeros(len(identities_N), bool)
