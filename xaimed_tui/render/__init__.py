"""From arrays to lines of a terminal: half blocks, glyphs or pixels. No widgets here; it runs in any thread."""
