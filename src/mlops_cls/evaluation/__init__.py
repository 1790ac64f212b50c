"""What a trained classifier is worth: its outputs on a split, scores from them, tables and plots."""
