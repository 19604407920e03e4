"""The processes behind the api: dispatcher, jobs worker, inference worker."""

import os

# Trainer, inference worker and the api share a machine's cores. Threads that spin while they wait then take them from
# each other: with two busy processes on two cores, scoring took 25 s instead of 3, encoding 12 s instead of 6.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
