"""What an assembly and its contigs are called in every archive: the assembly's accession, the contigs' identifiers.

A contig's identifier is that of GA4GH refget 2.0, which depends on its letters alone: "SQ." and the first 24 bytes of
the SHA-512 of the upper-case letters, in URL-safe base 64.
"""

import base64
import hashlib
import re
from typing import Annotated, Final

from hdna.errors import InputError
from hdna.storage.untrusted_json import Meta

_ACCESSION: Final = r"^([A-Z]{2,3}_)?[A-Z]{0,6}[0-9]{5,12}(\.[0-9]{1,3})?\Z"
_DIGEST_BYTES = 24

Accession = Annotated[str, Meta(pattern=_ACCESSION)]
"""As INSDC and RefSeq form them: GCF_000002985.6, NC_000001.11, U00096.3."""
RefgetIdentifier = Annotated[str, Meta(pattern=r"^SQ\.[A-Za-z0-9_-]{32}\Z")]


class SequenceDigest:
    """`update` with a contig's letters, piece by piece, then ask for its `identifier`."""

    def __init__(self) -> None:
        self._sha512 = hashlib.sha512()

    def update(self, letters: bytes) -> None:
        """Add letters, of either case."""
        self._sha512.update(letters.upper())

    @property
    def identifier(self) -> str:
        """Of the letters so far."""
        return "SQ." + base64.urlsafe_b64encode(self._sha512.digest()[:_DIGEST_BYTES]).decode()


def check_accession(accession: str) -> str:
    """The accession. Raises InputError when it does not look like one."""
    if re.match(_ACCESSION, accession) is None:
        raise InputError(f"--accession {accession}: not an accession: want one as in GCF_000002985.6 or NC_000001.11")
    return accession
