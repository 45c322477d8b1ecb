"""The access log: combined format with cache status and duration, written in batches off the path.

A request appends one tuple to a queue; formatting and writing happen in the log's own color, once
a second and when many have gathered. One record a line:

    host - - [time] "request line" status bytes "referer" "user agent" cache seconds
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import IO, TYPE_CHECKING, Any, Final

from colorsched.web.messages import get

if TYPE_CHECKING:
    from colorsched.web.messages import Request

Record = tuple[float, str, "Request | None", int, int, str, float]
"""(epoch seconds, client, request, status, bytes sent, cache status, seconds taken)"""

_GATHERED: Final = 4096
_ESCAPES: Final = {ord('"'): r"\"", ord("\\"): r"\\"} | {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 256))
}


class AccessLog:
    """Writes records to a file, or to standard output for the path "-"."""

    def __init__(self, path: str, color: Any) -> None:
        """Opens `path` for appending; raises OSError. `color` is the log's own."""
        self._path = path
        self._color = color
        self._records: deque[Record] = deque()
        self._file = self._open()

    def _open(self) -> IO[str]:
        if self._path == "-":
            return sys.stdout
        return open(self._path, "a", encoding="ascii")  # noqa: PTH123 - it stays open; a path like /dev/fd/3 is no Path's business

    def add(self, record: Record) -> None:
        """Note one request. Any thread."""
        self._records.append(record)
        if len(self._records) % _GATHERED == 0:
            self.flush()

    def flush(self) -> None:
        """Have what gathered written soon. Any thread."""
        if self._records:
            self._color.post(self.write)

    def write(self) -> None:
        """Write what gathered. In the log's color only."""
        records = self._records
        lines = [format_record(records.popleft()) for _ in range(len(records))]
        if lines:
            self._file.write("".join(lines))
            self._file.flush()

    def reopen(self) -> None:
        """Open the path anew, after it was moved away. Any thread."""
        self._color.post(self._reopen)

    def _reopen(self) -> None:
        self.close()
        self._file = self._open()

    def finish(self) -> None:
        """Write what is left and close the file. Any thread; nothing may be added any more."""
        self._color.post(self.close)

    def close(self) -> None:
        """Write what is left and close the file. In the log's color only."""
        self.write()
        if self._file is not sys.stdout:
            self._file.close()


def format_record(record: Record) -> str:
    """One line, in ASCII; what could break a line or a quoted part is escaped."""
    when, client, request, status, sent, cache, seconds = record
    line = referer = agent = "-"
    if request is not None:
        major, minor = request.version
        line = f"{_text(request.method)} {_text(request.target)} HTTP/{major}.{minor}"
        referer = _text(get(request.fields, b"referer"))
        agent = _text(get(request.fields, b"user-agent"))
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(when))
    return (
        f'{client} - - [{stamp}] "{line}" {status} {sent} "{referer}" "{agent}"'
        f" {cache} {seconds:.6f}\n"
    )


def _text(value: bytes | None) -> str:
    return "-" if value is None else value.decode("latin-1").translate(_ESCAPES)
