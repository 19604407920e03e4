"""An evaluation job: any adapter or base model on any part of a corpus, read by models that have not seen the texts."""
