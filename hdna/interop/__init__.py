"""Import and export of other codebases' weights."""

from hdna.interop.reference import from_reference, to_reference

__all__ = ["from_reference", "to_reference"]
