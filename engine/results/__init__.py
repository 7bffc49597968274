"""What a run gives: diagnosis, saliency map, cells, statistics, certainty and consensus, in numpy only."""
