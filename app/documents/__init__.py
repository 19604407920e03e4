"""Document sets: files that generative training learns from."""
