"""Data sets, validation splits, batches and augmentations."""
