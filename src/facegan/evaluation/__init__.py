"""How good, how varied, and how new the faces are."""
