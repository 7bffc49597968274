"""Colours, colormaps, scaling and lettering, for exported files and the screen."""
