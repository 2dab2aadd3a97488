"""Weights of other codebases in and out."""

from hdna.interop.reference import from_reference, to_reference

__all__ = ["from_reference", "to_reference"]
