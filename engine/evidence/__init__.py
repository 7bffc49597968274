"""Test whether a map can be believed: deletion and insertion curves."""
