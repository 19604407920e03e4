"""Jobs: their states, events and leases."""
