"""The child of a summary job: every text of a corpus summarized, with a watermark."""
