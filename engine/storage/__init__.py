"""Where things lie on this machine; files read whole, written whole and cleaned up after a crash."""
