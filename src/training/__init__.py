"""The loop, its checkpoints, precision and interruption."""
