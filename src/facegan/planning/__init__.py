"""What a training will take on this machine, and what it can be expected to give: measured, and from kept curves."""
