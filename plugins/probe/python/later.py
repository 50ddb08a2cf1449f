"""A module that only a function of another one imports."""

LATER = "later"
