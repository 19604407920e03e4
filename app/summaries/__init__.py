"""Summaries of texts and of corpora: extractive and abstractive, with what can be said of their faithfulness."""
