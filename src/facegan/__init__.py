"""facegan: train a face generator on CelebA, know honestly how good it is, and use the faces."""

__version__ = "0.1.0"
