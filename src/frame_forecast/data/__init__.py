"""Where clips come from: digits, generated and published Moving MNIST, batches."""
