"""Networks, the LightningModule around them, losses, optimisers and scores."""
