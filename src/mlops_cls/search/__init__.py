"""Searches for better settings without W&B, from the files that W&B's sweeps are described in."""
