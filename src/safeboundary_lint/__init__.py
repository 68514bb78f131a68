"""Finds the places where correctness at a service's boundaries depends on luck."""

__version__ = "0.1.0"
