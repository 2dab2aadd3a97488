"""Bucket errors in one line, without anything that should not be logged."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, NotFoundError

from hdna.errors import InputError

CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile AWS_PROFILE of ~/.aws, or the machine's role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, gcloud's default login, or the machine's role",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, or the machine's identity",
}
_NO_KEYS = re.compile("External AWS credential provider: InputError: (.*)")
"""Ours, raised where the library asks for keys."""
_NO_CREDENTIALS = re.compile(r"latest/api/token|169\.254\.|metadata\.google|security-credentials", re.IGNORECASE)
_REFUSALS: Final = (
    (re.compile("SignatureDoesNotMatch"), "the server refuses the secret key"),
    (re.compile("InvalidAccessKeyId"), "the server does not know the access key"),
    (re.compile("ExpiredToken|TokenRefreshRequired|InvalidToken"), "the server says the credentials have expired"),
    (re.compile("RequestTimeTooSkewed"), "the server's clock and this machine's differ too much"),
)
_DENIED = re.compile("AccessDenied|status code: 40[13]|privileges to complete|valid authentication")
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|The specified bucket does not exist")
_REGION = re.compile("AuthorizationHeaderMalformed|PermanentRedirect|redirect without LOCATION")
_EXPECTED_REGION = re.compile("expecting '([a-z0-9-]+)'")
_NO_NAME = re.compile("InvalidBucketName")
_NO_REASON = re.compile(r"HEAD \S+ in \S+ - Server returned non-2xx status code: 400")
_NO_STORE = re.compile(
    r"list request: .* status code: 404|status code: 404 [\w ]+: <(?:!doctype )?html|status code: (?:405|501)|"
    r"Unable to extract metadata|Got invalid \w+ response",
    re.IGNORECASE,
)
"""What a web server answers; searched for after what a store without the bucket says."""
_BUSY = re.compile(r"status code: (?:429|5\d\d \w[\w ]*\w)")
_TORN = re.compile(
    r"request or response body error|Got invalid \w+ response: .*(?:not closed|end of input|Event::Eof)|"
    r"POST \S+ in \S+ - HTTP error: error sending request"
)
"""The last: without "after N retries". The library does not repeat a POST whose answer is lost; ours delete."""
_BROKEN = re.compile("error sending request|request or response body error|HTTP error|operation timed out|Connection")


@contextmanager
def one_line_errors(url: str) -> Iterator[None]:
    """Turn the library's errors into an InputError naming `url`; a missing object raises FileNotFoundError.

    The library's own error is not chained: it quotes requests and responses, which a traceback would print.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError | NotFoundError) and not _wrong_place(str(error)):
            raise FileNotFoundError(url) from None
        raise InputError(explain(url, str(error))) from None


def explain(url: str, message: str) -> str:
    """`url`, what happened, and what to do, from an object-store library's message.

    Only unknown messages are quoted, and only their first line without query strings, which may contain a signed URL
    or a token. Never a header, a key or a response body.
    """
    known = _known_cause(urlsplit(url).scheme, urlsplit(url).netloc, message)
    return f"{url}: {known or _first_line(message)}"


def names_no_bucket(message: str) -> bool:
    """Whether the server said that the bucket does not exist."""
    return _NO_BUCKET.search(message) is not None


def is_torn(message: str) -> bool:
    """Whether an answer began and broke off, or never came to a request that the library sends only once."""
    return _TORN.search(message) is not None


def _wrong_place(message: str) -> bool:
    return names_no_bucket(message) or _NO_STORE.search(message) is not None


def _known_cause(scheme: str, bucket: str, message: str) -> str | None:
    sought = f"credentials are looked for in {CREDENTIALS.get(scheme, 'the environment')}"
    if scheme not in CREDENTIALS:
        return None
    if no_keys := _NO_KEYS.search(message):
        return no_keys[1]
    if names_no_bucket(message):
        return f"there is no bucket {bucket!r}: create it, or correct the name or the endpoint"
    if _NO_NAME.search(message):
        return f"{bucket!r} is not a valid bucket name: correct it"
    if _NO_STORE.search(message):
        return "what answers is no object store: check the endpoint"
    if _REGION.search(message):
        expected = _EXPECTED_REGION.search(message)
        return f"wrong region: set AWS_REGION to {expected[1] if expected else 'that of the bucket'}"
    if _NO_REASON.search(message):
        return (
            f"refused without a reason (wrong AWS_REGION, expired keys, or a bucket name that is not valid): "
            f"'hdna doctor {scheme}://{bucket}' asks for it"
        )
    if _NO_CREDENTIALS.search(message):
        return f"no credentials found: {sought}"
    for pattern, cause in _REFUSALS:
        if pattern.search(message):
            return f"{cause}: {sought}"
    if _DENIED.search(message):
        return f"access denied: these credentials may not do this, or are wrong: {sought}"
    if busy := _BUSY.search(message):
        return f"still {busy[0]} after several attempts: the server is busy or down; try again later"
    if _BROKEN.search(message):
        return "no complete response after several attempts: the connection breaks or stalls; check the endpoint"
    return None


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return re.sub(r"\?\S+", "", lines[0])[:300] if lines else "failed"
