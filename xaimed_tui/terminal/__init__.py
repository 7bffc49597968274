"""What the terminal can do and what it sends: the query, its colours, keys in order."""
