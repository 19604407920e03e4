"""Step one of the loop: corpora, schemes, texts and imports."""
