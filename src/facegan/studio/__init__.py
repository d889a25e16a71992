"""``facegan studio``: the page, with a server behind it that has every model, runs that are trained, and a game."""
