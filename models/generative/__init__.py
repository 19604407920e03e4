"""Generative training: domain adaptation of decoders (`causal`) and summarisation with encoder-decoders (`summarize`), by LoRA."""
