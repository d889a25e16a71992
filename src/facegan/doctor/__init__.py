"""What is wrong on this machine, with data and with runs, and what cures it. Everything here only reads."""
