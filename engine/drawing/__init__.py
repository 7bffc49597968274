"""Colours, colormaps, scaling and lettering, shared by exported files and the screen."""
