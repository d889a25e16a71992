"""From files of faces to batches: CelebA's files, the preflight, the packed dataset and its order."""
