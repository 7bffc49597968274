"""Where things lie on this machine; files read whole, written whole, and what a crash left half-written."""
