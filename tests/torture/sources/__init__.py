"""What lives in the zoo (`tests/torture/zoo.py`): a module for each kind of source; each has a list `SOURCES`."""

from tests.torture.sources import checkpoints, named, refused, whole

SOURCES = [*checkpoints.SOURCES, *named.SOURCES, *whole.SOURCES, *refused.SOURCES]
