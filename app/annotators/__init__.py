"""Several annotators: how far they agree."""
