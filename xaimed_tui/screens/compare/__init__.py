"""Two classes or two models side by side."""
