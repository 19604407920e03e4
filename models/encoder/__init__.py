"""Encoders: loading, tokens and windows, batches, forward passes, the cached trunk, LoRA."""
