"""The one-machine stack: embedded servers and the supervisor of every process."""
