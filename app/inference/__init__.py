"""Step three of the loop seen from callers: POST /classify and POST /summarize, answered by the inference workers."""
