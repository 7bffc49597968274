"""From arrays to lines of a terminal: no widgets here, and nothing that must run in the app's own thread."""
