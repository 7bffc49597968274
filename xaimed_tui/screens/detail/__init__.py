"""One method in detail: its map, its grid and its statistics."""
