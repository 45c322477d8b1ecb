"""Primary cache keys: which requests ask for the same (RFC 9111 2), and what to forget (4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from colorsched.web.messages import get_all

if TYPE_CHECKING:
    from colorsched.web.messages import Request, Response

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})  # RFC 9110 9.2.1
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def cache_key(request: Request) -> bytes:
    """The primary key: the authority, lower-cased, without port 80, and the target as received.

    The method is not in it: HEAD is answered from what GET stored. Nor is the scheme: a server
    listens for one. The authority must not contain a slash, which the server checks.
    """
    return normalized_authority(request) + request.target


def normalized_authority(request: Request) -> bytes:
    """The authority as the key has it. The origin is to see no other: it might tell them apart.

    Then one client's way to write a host would choose the answer that all others get.
    """
    return request.authority.lower().removesuffix(b":80")


def invalidated_keys(request: Request, response: Response) -> tuple[bytes, ...]:
    """The keys whose entries a response to an unsafe request invalidates (RFC 9111 4.4).

    Empty for safe methods and for errors; else the request's own key, then those of Location and
    Content-Location where they name the same origin. Methods that are not known count as unsafe.
    """
    if request.method in _SAFE or not 200 <= response.status < 400:
        return ()
    keys = {cache_key(request): None}
    for name in (b"location", b"content-location"):
        for reference in get_all(response.fields, name):
            key = _same_origin_key(request, reference)
            if key is not None:
                keys[key] = None
    return tuple(keys)


def _same_origin_key(request: Request, reference: bytes) -> bytes | None:
    """The key of a URI reference, relative to the request's; None for another origin or no URI."""
    authority = request.authority.lower().removesuffix(b":80").decode("latin-1")
    base = f"http://{authority}{request.target.decode('latin-1')}"
    try:
        found = urlsplit(urljoin(base, reference.decode("latin-1")))
    except ValueError:
        return None
    host = found.netloc.lower()
    # A proxy before this one may speak TLS to clients, so an https reference is ours as well.
    if host.removesuffix(_DEFAULT_PORTS.get(found.scheme, "")) != authority:
        return None
    query = f"?{found.query}" if found.query else ""
    return f"{authority}{found.path or '/'}{query}".encode("latin-1")
