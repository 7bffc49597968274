"""What holds for the tests of the app: a short guide, unless a test shows the whole one."""

from guides import use_guide  # noqa: F401
