"""The encoder: tokenizing, packing and the forward pass."""
