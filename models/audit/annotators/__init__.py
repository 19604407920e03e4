"""Several annotators: their consensus, their quality, and how far they agree."""
