"""How fast a trained model answers here, by what computes it, and what the speed costs."""
