"""When something is due, as a function of images seen and never of the planned length."""


def is_due(nimg: int, batch: int, every: int) -> bool:
    """Return whether the step that ended at ``nimg`` passed a multiple of ``every`` images (never, if that is 0)."""
    return every > 0 and nimg // every != (nimg - batch) // every


def grid_name(nimg: int, batch: int, images: int) -> str:
    """Return the grid's file name, ``epoch{E}-{step}.png``: step = batches done within epoch E."""
    return f"epoch{nimg // images}-{nimg % images // batch}.png"
