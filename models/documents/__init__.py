"""Documents into text: PDF, DOCX and plain text files, and files of text-summary pairs. Needs no torch."""
