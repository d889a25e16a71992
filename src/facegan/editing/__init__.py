"""Changing faces: films between them, mixtures, attributes, photos turned into faces of a model."""
