"""Everything that runs off the UI thread: the engine as the app calls it, jobs, lanes, messages."""
