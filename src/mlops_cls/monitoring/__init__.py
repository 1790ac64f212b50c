"""What pictures and predictions look like, so that a change of either is noticed; numpy and Pillow alone."""
