"""Many faces onto the disk: so that a job can be stopped, killed, split and gone on with."""
