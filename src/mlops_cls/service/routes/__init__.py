"""What the service answers to, one file per subject."""
