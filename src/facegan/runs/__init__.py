"""Run folders and snapshots: what a training leaves on the disk."""
