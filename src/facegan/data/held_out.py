"""Which images are held out: no network ever trains on them; scores, floors and audits use them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from facegan.errors import UserError

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
    "partition": "the valid and test partitions; of CelebA, no person in them is in train",
    "pictures": "chosen by file name; other pictures of the same people may be trained on",
    "none": "no image",
}


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
