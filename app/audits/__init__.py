"""Audit samples: drawn at random, sealed, read blind; and what may be claimed from them."""
