"""POST /generate and POST /perplexity: text after a prompt by a causal adapter, its base model, or both beside each other."""
