"""Everything that runs off the UI thread: calls of the engine, jobs, lanes, and the messages they send."""
