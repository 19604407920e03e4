"""Other Python servers serving the same model, run by `bench.serve` in environments of their own: torch, transformers and numpy, nothing of Remand."""
