"""What holds for the tests of faults: a short guide where they start the app."""

from guides import use_guide  # noqa: F401
