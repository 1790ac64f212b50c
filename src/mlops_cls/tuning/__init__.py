"""What is measured before training: the fastest runtime, the batch that fits, the epochs that fit into a budget."""
