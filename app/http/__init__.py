"""What every endpoint shares: problems, paging, idempotency, security, limits, telemetry."""
