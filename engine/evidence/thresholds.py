"""Where the verdicts of the evidence begin and end: every threshold, with its reason.

`python -m tests.benchmarks.fakes` asks the four questions about maps that are known to be wrong, and about maps that
are known to be right, on networks whose evidence is known; the thresholds were chosen by what it found.
"""

from __future__ import annotations

GOOD_RANK = 8.0
"""*Right*: three cells are good if their mid-rank among the 84 triples is at most this: the best tenth."""

POOR_RANK = 10.0
"""*Right*: a *no* asks that they rank below this, kept and hidden, under every fill. Three cells that hold evidence,
but not the strongest, ranked 9th; few maps of the wrong class rank between."""

AS_GOOD_AS_THE_BEST = 0.05
"""*Right*: or if they lose at most this share of the range to the best triple. Where one cell decides, all 28 triples
that hold it are equally right, and trifles rank them from 1 to 28. Where even the best triple does no more than this,
kept or hidden, nothing can be told apart in that way."""

MOST_CHANCE = 0.34
"""*Right*: if a larger share of the triples would be called right, a guess would be, too, and there is no *yes*. The
share is a third where one cell decides, and less where several do."""

RANDOM_MAPS = 16
"""*Better than chance*: how many random maps; a map that is itself random beats all of them once in 17 times."""

STEPS = 32
"""*Better than chance*: steps of the deletion and insertion curves: two an axis and cell, and some to spare."""

BEATEN_FOR_YES = 15
"""*Better than chance*: how many of the 16 must be beaten for a *yes*, and the centre blob too. By luck two maps in 17
beat so many; maps of the known evidence and of methods that found it beat 15 or 16 nearly always."""

BEATEN_FOR_NO = 8
"""*Better than chance*: a map that beats fewer is no better than a random one."""

SMALLEST_SPREAD = 0.02
"""*Better than chance*: if the areas of all 18 maps lie within this, nothing can be told apart by them: two areas of
32 steps differ by as much when a single step changes the probability by two thirds."""

OPEN_FOR_NO = 8
"""*Stable*, methods that draw samples: *no* if none of the three cells is settled and the choice is open between at
least so many. Four cells of equal evidence leave all three unsettled, too, but only four of them open. The cells must
also be less reliable than `FEWEST_RELIABLE`: the errors of LIME's five segmentations are wide at 99 %, and left all
nine cells open in a quarter of its maps that named the right ones, nine tenths of whose differences were not chance."""

COPIES = 16
"""*Stable*, other methods: copies of the image with Gaussian noise of one grey level (of 255), which nobody sees."""

CORRELATION_FOR_YES = 0.9
"""*Stable*: the nine cell means of the copies must correlate as much with the map's own for a *yes* ..."""

SAME_THREE_FOR_YES = 0.75
"""... and as many copies must name the same three cells. On the bundled models for tissue and for brains .84 to .99 of
such copies do. The two are asked for together: where one cell decides, the other two change at random."""

CORRELATION_FOR_NO = 0.6
"""*Stable*: below this the picture is another when nobody sees that the image is."""

CHANGED_BELOW = 0.5
"""*Of this network*: a map has changed if its rank correlation with the trained network's map is below this ..."""

UNCHANGED_FROM = 0.85
"""... and it is still the same from here on. Maps that do not look at the weights have 1. The most that was
seen of right maps is .6, of RISE on small networks whose first half alone finds the shapes that decide."""

FEWEST_RELIABLE = 0.5
"""*Of this network* and *stable*: a method that draws samples must give half of the variance of its cell means again,
or its maps differ by chance alone."""

FEWEST_MAPS = 2
"""*Of this network*: a single map that is not constant may be the exception."""
