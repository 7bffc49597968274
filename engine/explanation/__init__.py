"""Explain one image with every method; compare two explanations."""
