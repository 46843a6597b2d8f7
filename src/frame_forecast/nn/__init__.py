"""Building blocks of the models: cells and the loop over time."""
