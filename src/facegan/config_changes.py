"""Settings as text: ``field=value``, counts such as ``2M``, and what differs between two configs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from facegan import hints
from facegan.config import RecipeConfig, from_dict, milestone_text, renamed, require, to_dict
from facegan.errors import UserError

FIXED = ("name", "network", "resolution")
"""Fields of a recipe that are not to be set: another recipe, or other data, is what is wanted."""
_LARGEST_COUNT = Decimal("1e18")


def with_settings(recipe: RecipeConfig, settings: list[str]) -> RecipeConfig:
    """Return the recipe with ``field=value`` settings applied; a dot reaches into a part: ``generator.width=32``.

    Raises:
        UserError: no ``=``, an unknown field (the nearest is proposed) or a value that does not fit it.
    """
    values = to_dict(recipe)
    for setting in settings:
        path, equals, text = setting.partition("=")
        require(equals == "=" and path != "", f"--set {setting}: write it as field=value, such as --set flip=true")
        path = renamed(path)
        place, known = values, flatten(values)
        *parents, last = path.split(".")
        for parent in parents:
            place = place.get(parent, {}) if isinstance(place, dict) else {}
        if path in FIXED:
            other = (
                "data of another size (facegan prepare --resolution)" if path == "resolution" else "another --recipe"
            )
            raise UserError(f"--set {setting}: {path} is what the recipe is; choose {other}")
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            hint = hints.for_setting(path, text, [name for name in known if name not in FIXED])
            raise UserError(f"--set {setting}: the recipe {recipe.name} has no field {path}; {hint}")
        place[last] = _parse(text, place[last], f"--set {setting}")
    return from_dict(RecipeConfig, values, "--set")


def _parse(text: str, old: Any, where: str) -> Any:
    """Return the text as a value of the type of ``old``."""
    if isinstance(old, bool):
        true, false = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
        require(text.lower() in true + false, f"{where}: choose true or false")
        return text.lower() in true
    if isinstance(old, tuple):
        return _parse_list(text, where)
    try:
        if isinstance(old, int):
            return parse_count(text)
        return float(text) if isinstance(old, float) else text
    except OverflowError:
        raise UserError(f"{where}: {text} is too large") from None
    except ValueError:
        kind = "a whole number" if isinstance(old, int) else "a number"
        raise UserError(f"{where}: expected {kind}, found {text!r}") from None


def _parse_list(text: str, where: str) -> tuple[Any, ...]:
    """Return ``1@0,0.1@4M`` as ((0, 1.0), (4000000, 0.1)), ``100k,500k`` as (100000, 500000), ``none`` as ()."""
    if text in ("", "none"):
        return ()
    values: list[Any] = []
    try:
        for item in text.split(","):
            value, at, nimg = item.partition("@")
            values.append((parse_count(nimg), float(value)) if at else parse_count(value))
    except (ValueError, OverflowError):
        raise UserError(
            f"{where}: expected VALUE@IMAGES,VALUE@IMAGES such as 1@0,0.1@4M, or numbers such as 100k,500k; or none"
        ) from None
    return tuple(values)


def parse_count(text: str) -> int:
    """Return the whole number in ``"64"``, ``"100k"``, ``"2M"`` or ``"1.5M"``.

    Raises:
        ValueError: anything else.
        OverflowError: it is above 10^18.
    """
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        number = Decimal(text[:-1] if scale > 1 else text) * scale
    except ArithmeticError:
        raise ValueError(text) from None
    if not number.is_finite():
        raise ValueError(text)
    if abs(number) > _LARGEST_COUNT:
        raise OverflowError(text)
    if number != int(number):
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


def differences(old: Any, new: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Return (field, old value, new value) of every setting in which two configs, or two nested tables, differ."""
    before, after = (table if isinstance(table, Mapping) else to_dict(table) for table in (old, new))
    rows: list[tuple[str, Any, Any]] = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            rows += differences(one, other, f"{prefix}{name}.")
        elif one != other:
            rows.append((prefix + name, one, other))
    return rows


def setting_text(value: Any) -> str:
    """Return a setting in words; of a hash the first digits."""
    if isinstance(value, tuple):
        return milestone_text(value) or "none"
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1...", str(value))


def table_of(changed: list[tuple[str, Any, Any]], before: str, after: str) -> str:
    """Return the lines of a table of settings that differ, as ``differences`` gives them, under these two headings."""
    rows = [("setting", before, after), *((name, setting_text(old), setting_text(new)) for name, old, new in changed)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)
