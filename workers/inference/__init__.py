"""The inference worker: owns its queue, batches and adapters."""
