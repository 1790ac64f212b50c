"""Where bundles are kept for others, and how they come back."""
