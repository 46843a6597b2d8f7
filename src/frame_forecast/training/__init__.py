"""Training on Lightning: loss, optimiser, budget, averaging, checkpoints."""
