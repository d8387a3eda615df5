"""HTTP with a total time for an answer, bounded reading, and redirects that give nothing away.

Python's own client does the rest. It measures time between two bytes, reads what it is told to
and takes every header along to wherever a server points.
"""
from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import re
import socket
import ssl
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import Refused

STRIDE = 1 << 20                # bytes of a file, up or down, that give its clock new time
MOST_REDIRECTS = 5
PORTS = {"http": 80, "https": 443}


class Clock:
    """How long one answer may take: the name, the connection, the headers and the body."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._bytes = seconds, 0
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def moved(self, count: int) -> None:
        """Bytes of a file came or went. Files may be large: the time is for each STRIDE of them,
        so that it bounds silence and too slow a rate."""
        self._bytes += count
        if self._bytes >= STRIDE:
            self._bytes = 0
            self._end = time.monotonic() + self.seconds


# ---- connections

def connected(address: tuple[str, int], clock: Clock) -> socket.socket:
    """A connection to the first address of a host that takes one. OSError when none does."""
    failure: OSError = ConnectionError("the name has no address")
    places = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    for count, (family, kind, protocol, _, place) in enumerate(places):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(clock.left() / (len(places) - count))
            sock.connect(place)
            sock.settimeout(clock.left())
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


class _Timed(io.RawIOBase):
    """A connection's bytes; no wait is longer than the clock allows."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, clock: Clock) -> None:
        self.sock, self.raw, self.clock = sock, raw, clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.sock.settimeout(self.clock.left())
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Buffered(io.BufferedReader):
    """Never reads "everything": a chunk of size -1 would ask for that."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise http.client.HTTPException("a part of negative length was announced")
        return super().read(size)


class _Answer(http.client.HTTPResponse):
    """An answer that comes in time, or not at all."""

    def __init__(self, sock: socket.socket, *args: Any, clock: Clock, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _Buffered(_Timed(sock, self.fp.detach(), clock))


class _Connection(http.client.HTTPConnection):
    """A connection with a clock."""

    def __init__(self, host: str, *, clock: Clock, **options: Any) -> None:
        super().__init__(host, **options)
        self.clock = clock
        self.response_class = functools.partial(_Answer, clock=clock)
        self._create_connection = lambda address, *_: connected(address, clock)

    def request(self, *args: Any, **options: Any) -> None:
        try:
            super().request(*args, **options)
        except (BrokenPipeError, ConnectionResetError):
            if self.sock is None:
                raise
            # Who refuses a large file answers before it has come as a whole: look at that.

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.clock.left())
        super().send(data)
        self.clock.moved(len(data))


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    """The same with TLS."""


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_Connection, req, clock=req.clock)


class _Secure(urllib.request.HTTPSHandler):
    @functools.cached_property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def https_open(self, req: Any) -> Any:
        return self.do_open(_SecureConnection, req, context=self.context, clock=req.clock)


# ---- redirects

class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few. The headers stay where they were meant to go, and a POST stays a POST."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        location = headers.get("Location")
        if location is None:
            return None                         # ends as any other error does
        fp.close()
        hops = getattr(req, "hops", 0) + 1
        url = _target(req.full_url, str(location), code)
        if hops > MOST_REDIRECTS:
            raise Refused(f"the server sends us on more than {MOST_REDIRECTS} times, lastly to "
                          f"{url[:200]}.", code)
        ours = same_place(req.full_url, url)
        if req.data is not None and not (ours and code in (307, 308)):
            raise Refused(f"the server sends us on to {url[:200]}: if that is where it is, give "
                          "its address as --server.", code)
        sent = req.headers if ours else {"User-Agent": req.get_header("User-agent", "lgfa")}
        new = urllib.request.Request(url, req.data, dict(sent), unverifiable=True)
        new.clock, new.hops = req.clock, hops
        return self.parent.open(new, timeout=req.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _target(base: str, location: str, code: int) -> str:
    """Where a redirect leads. Refused when that is no address."""
    try:
        if not location.isprintable():
            raise ValueError
        quoted = urllib.parse.quote(location.strip(), safe=string.punctuation)
        url = urllib.parse.urljoin(base, quoted)
        parts_of(url)
    except ValueError:
        raise Refused(f"the server sends us on to {location[:200]}, which is no address of a "
                      "server.", code) from None
    return url


def same_place(url: str, other: str) -> bool:
    """Whether two addresses are one server: scheme, host and port; or its step up to https."""
    old, new = place_of(url), place_of(other)
    return old == new or (old == ("http", new[1], 80) and new == ("https", old[1], 443))


def place_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def parts_of(url: str) -> urllib.parse.SplitResult:
    """An http(s) address in its parts. ValueError when it is none that can be asked."""
    parts = urllib.parse.urlsplit(url)
    fits = (parts.scheme in PORTS and parts.hostname and "@" not in parts.netloc
            and parts.port != 0 and not re.search(r"[\s\x00-\x1f\x7f]", url) and url.isprintable()
            and (parts.path + parts.query).isascii())
    if not fits:
        raise ValueError("no address")
    if ":" in parts.hostname:
        ipaddress.IPv6Address(parts.hostname.partition("%")[0])
    else:
        parts.hostname.encode("idna")           # a label that is empty, or longer than 63
        if "%" in parts.hostname:
            raise ValueError("no address")
    return parts


def is_local(host: str) -> bool:
    """Whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def opener(host: str) -> urllib.request.OpenerDirector:
    """Opens requests that have a `clock`: http and https, by the environment's proxies."""
    director = urllib.request.OpenerDirector()
    # A proxy for the internet does not know this machine.
    proxies = urllib.request.ProxyHandler({} if is_local(host) else None)
    for handler in (proxies, _Plain(), _Secure(), _Redirects(), urllib.request.UnknownHandler(),
                    urllib.request.HTTPDefaultErrorHandler(),
                    urllib.request.HTTPErrorProcessor()):
        director.add_handler(handler)
    return director


# ---- bodies

def pieces(answer: http.client.HTTPResponse, most: int, too_large: Callable[[], Refused]
           ) -> Iterator[bytes]:
    """A body in blocks, as long as it was announced and no longer than `most` bytes.

    `too_large` makes the exception for a longer one. HTTPException when it ends early or its
    length is nonsense.
    """
    wanted, received = announced(answer), 0
    if wanted is not None and wanted > most:
        raise too_large()
    while block := answer.read(1 << 18):
        received += len(block)
        if received > most:
            raise too_large()
        yield block
    if wanted is not None and received != wanted:
        raise http.client.IncompleteRead(b"", wanted - received)


def announced(answer: http.client.HTTPResponse) -> int | None:
    """A body's length by its header; None when there is none, or it comes in chunks."""
    lengths = {one.strip() for one in answer.headers.get_all("Content-Length") or ()}
    if not lengths or answer.chunked:
        return None
    if len(lengths) > 1:
        raise http.client.HTTPException("two lengths were announced")
    length, = lengths
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise http.client.HTTPException(f"{length[:40]!r} was announced as its length")
    return int(length)
