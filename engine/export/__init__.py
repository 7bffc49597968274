"""An explanation to files."""
