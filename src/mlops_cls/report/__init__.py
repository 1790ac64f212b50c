"""What a run found, made to be looked at and passed on: report.html, MODEL_CARD.md and the page that compares runs."""
