"""/classify and /summarize: the way to the inference workers."""
