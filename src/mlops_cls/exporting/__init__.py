"""From a checkpoint to a bundle that was compared with it on real pictures."""
