"""From what a trial measured to how far a training comes: steps, and everything that is no step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a training spends its time on, in seconds unless said otherwise."""

    images_per_s: float
    """Of whole steps."""
    start: float
    """From the command to the first step, its grid and its snapshot with it, without what attributes-net does."""
    reference: float = 0.0
    """attributes-net looks at the data for the quick score, and labels faces without attributes."""
    grid: float = 0.0
    score: float = 0.0
    """A snapshot's quick score; the snapshot itself is written behind the training."""
    write: float = 0.0
    """The last snapshot, which is waited for."""
    sample_every: int = 5_000
    """Images between two grids, and between two snapshots."""
    snapshot_every: int = 20_000

    @property
    def before(self) -> float:
        """Seconds from the command to the first step: --minutes do not count them."""
        return self.start + self.reference + self.score

    @property
    def after(self) -> float:
        """Seconds from the last step to the end: --minutes do not count them either."""
        return self.grid + self.score + self.write

    def training(self, images: float) -> float:
        """Return the seconds that a training needs for so many images, from its first step to its last."""
        grids, snapshots = max(0, int(images) // self.sample_every), max(0, int(images) // self.snapshot_every)
        return images / self.images_per_s + grids * self.grid + snapshots * self.score

    def whole(self, images: float) -> float:
        """Return the seconds from the command to its end."""
        return self.before + self.training(images) + self.after

    def images_within(self, seconds: float) -> int:
        """Return the images that a training has seen after so many seconds of training (``train --minutes``)."""
        low, high = 0.0, seconds * self.images_per_s
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.training(middle) <= seconds else (low, middle)
        return int(low)
