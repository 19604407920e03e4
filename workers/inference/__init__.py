"""The inference worker: one process per GPU owns its queue, batches and adapters."""

import os

# Every batch has a shape of its own, and oneDNN keeps compiled kernels of the last 1,024 shapes, which are hardly ever used
# again: with fewer of them memory grew half as much over 1,600 texts, at the same speed. Read by torch when it is loaded.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
