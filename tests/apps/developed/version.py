"""Version of the code."""

VERSION = "old"
