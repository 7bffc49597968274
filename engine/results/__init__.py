"""What an explanation consists of: diagnosis, maps, cells, statistics, certainty, consensus (numpy only)."""
