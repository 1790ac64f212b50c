"""What stands before the routes: who may ask, how often, from which pages, and how much they may send."""
