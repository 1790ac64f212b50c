"""Finds in a prepared data set what would make a score dishonest or a class unlearnable."""
