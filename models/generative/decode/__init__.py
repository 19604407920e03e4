"""Writing text with generative models: own forwards over cached keys and values, sequences that come and go from one running batch."""
