"""``python -m facegan``."""

from facegan.cli import main

if __name__ == "__main__":
    main()
