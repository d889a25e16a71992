"""Scores as pure mathematics on arrays of features, each with its interval."""
