"""The version of this distribution, alone in a file so that the build reads it without imports."""

__all__ = ["__version__"]

__version__ = "0.1.0"
