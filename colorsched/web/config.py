"""The server's settings as one immutable record, and readers of sizes, durations and addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from attrs import field, frozen, validators

from colorsched.web.http1 import Limits, is_authority

if TYPE_CHECKING:
    from attrs import Attribute

_SIZE: Final = re.compile(r"(\d+)\s*([kmgKMG]?)(?:i?[bB])?")
_SIZE_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|)")
_DURATION_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class ConfigError(ValueError):
    """A setting that cannot be used; the text says which one, why, and what is accepted."""


@frozen
class Address:
    """A host, as a name or a number, and a port; port 0 lets the system choose one."""

    host: str
    port: int = field(validator=[validators.ge(0), validators.le(65535)])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@frozen
class Origin:
    """Where requests are forwarded to."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> bytes:
        """As it stands in a Host field: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.tls else 80
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii")

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority.decode()}"


@frozen(kw_only=True)
class Timeouts:
    """Seconds, each above 0. What happens when one passes stands behind it."""

    head: float = field(default=10.0)
    """From a request's first byte to the end of its head: 408."""
    body: float = field(default=30.0)
    """Between two pieces of a request's body: 408."""
    idle: float = field(default=60.0)
    """Between two requests of a connection: closed without a word."""
    write: float = field(default=60.0)
    """While a client takes nothing of a response: its connection is cut."""
    connect: float = field(default=5.0)
    """Until a connection to the origin stands: 504."""
    origin: float = field(default=60.0)
    """Until the origin's response begins, and between two pieces of it: 504, or cut short."""
    linger: float = field(default=2.0)
    """How long what a client still sends is read and dropped after an error was answered."""

    @head.validator
    @body.validator
    @idle.validator
    @write.validator
    @connect.validator
    @origin.validator
    @linger.validator
    def _positive(self, attribute: Attribute[float], value: float) -> None:
        if not value > 0:
            raise ConfigError(f"the {attribute.name} timeout must be above 0 seconds, not {value}")

    def shortest(self) -> float:
        """The smallest of them, in seconds."""
        return min(
            self.head, self.body, self.idle, self.write, self.connect, self.origin, self.linger
        )


@frozen(kw_only=True)
class Settings:
    """All that the server is told at its start. Sizes in bytes, times in seconds."""

    origin: Origin
    listen: Address = field(factory=lambda: Address("127.0.0.1", 8080))
    admin: Address | None = None
    cache_size: int = 64 << 20
    max_object: int = 8 << 20
    """The largest body that is stored; larger ones flow through."""
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    access_log: str | None = None
    """A path, "-" for standard output, or None."""
    cache_status: bool = True
    """Whether responses carry Cache-Status (RFC 9211)."""
    host: bytes | None = None
    """The Host sent to the origin; None: the one the client sent."""
    grace: float = 30.0
    """How long running requests may take after the server was told to stop."""
    pool: int = 64
    """How many idle connections to the origin are kept."""

    def __attrs_post_init__(self) -> None:
        if self.cache_size < 1 << 20:
            raise ConfigError("the cache size must be at least 1M")
        if self.max_object < 1:
            raise ConfigError("the largest object must be at least 1 byte")
        if self.grace < 0:
            raise ConfigError("the grace period cannot be negative")


def parse_size(text: str) -> int:
    """A number of bytes from "512", "16k", "64M" or "1G" (powers of 1024). Raises ConfigError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a size: give a number with k, M or G, such as 64M")
    return int(found[1]) * _SIZE_UNITS[found[2].lower()]


def parse_duration(text: str) -> float:
    """Seconds from "10", "0.5s", "500ms", "2m" or "1h". Raises ConfigError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f"{text!r} is not a duration: give a number with ms, s, m or h, such as 500ms"
        )
    return float(found[1]) * _DURATION_UNITS[found[2]]


def parse_address(text: str, *, default_host: str = "127.0.0.1") -> Address:
    """An address from "host:port", "[::1]:port", ":port" (every host) or "port"."""
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host = default_host
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{text!r}: put an IPv6 address in brackets, such as [::1]:8080")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address: give host:port, such as 127.0.0.1:8080")
    return Address(host, int(port))


def parse_host(text: str | None) -> bytes | None:
    """A Host field's value. Raises ConfigError."""
    if text is None:
        return None
    if not is_authority(text.encode("utf-8")):
        raise ConfigError(f"{text!r} is no host: give a name, or name:port, in ASCII")
    return text.encode("ascii")


def parse_origin(text: str) -> Origin:
    """An origin from a URL such as "http://127.0.0.1:9000". Raises ConfigError."""
    advice = "give a URL such as http://127.0.0.1:9000"
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no origin ({error}): {advice}") from None
    if url.scheme not in {"http", "https"}:
        raise ConfigError(f"{text!r} is no origin: it has no http:// or https://; {advice}")
    if not url.hostname or not url.hostname.isascii():
        raise ConfigError(f"{text!r} is no origin: the host is missing or not ASCII; {advice}")
    if url.path not in {"", "/"} or url.query or url.fragment or url.username is not None:
        raise ConfigError(f"{text!r} is no origin: it must end after host and port; {advice}")
    tls = url.scheme == "https"
    if port is None:
        port = 443 if tls else 80
    return Origin(url.hostname, port, tls)
