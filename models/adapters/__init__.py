"""The adapter folder: format, digest, writing and loading."""
