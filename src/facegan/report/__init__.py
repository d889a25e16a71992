"""One self-contained HTML file about a model: its faces, how they came about, how good they are, and how we know."""
