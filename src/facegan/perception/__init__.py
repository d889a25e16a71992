"""Networks that look at faces: the feature spaces of scores, and the 40 attributes."""
