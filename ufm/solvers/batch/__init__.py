"""Many starts at once: starts are the leading axis of every array; `engine.run_batch` is the door."""
