"""`ter`: fair ratings for therapists, adjusted for case mix, with honest uncertainty."""

__version__ = "0.1.0"
