"""Times as people write them: 90s, 45m, 2h, 1d."""

from __future__ import annotations

import re

from facegan.errors import UserError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 366 * 86400.0


def seconds_of(text: str, flag: str) -> float:
    """Return the seconds that a time such as 90s, 45m, 1.5h or 1h30m stands for.

    Raises:
        UserError: it is no such time, zero, or longer than a year. ``flag`` names what said it.
    """
    plain = text.strip().lower().replace(" ", "")
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)([smhd])", plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain:
        raise UserError(f"{flag} {text}: give a time with its unit, above 0, such as 90s, 45m, 2h or 1d")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total <= _LONGEST:
        raise UserError(f"{flag} {text}: give a time above 0 and of at most a year")
    return total


def duration_text(seconds: float) -> str:
    """Return a time in words of two units at most: 45 s, 12 min, 2 h 05 min, 3 d 04 h."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"
