"""Commands that mistreat the program for longer than its tests do; the tests run a small part of each."""
