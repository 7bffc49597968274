"""What the terminal is and what it sends: query, colour depth, keys in order."""
