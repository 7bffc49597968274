"""What a bundle's network may be built from other than code in its folder."""
