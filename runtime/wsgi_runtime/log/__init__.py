"""The log program."""
