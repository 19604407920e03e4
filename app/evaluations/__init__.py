"""Evidence about adapters: evaluations on any part of a corpus."""
