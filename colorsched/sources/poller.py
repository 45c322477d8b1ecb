"""The real pollers: epoll where there is one, else whatever ``selectors`` offers."""

from __future__ import annotations

import errno
import os
import select
import selectors
import socket
import stat
import threading
from typing import TYPE_CHECKING

from colorsched.ports import READ, WRITE, Poller

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_poller() -> Poller:
    """The best poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


class EpollPoller:
    """epoll, level-triggered, with an eventfd to wake it.

    The kernel's own calls are thread-safe; ``_known`` only chooses between two of them, and a
    wrong choice (a descriptor closed behind our back, and its number given out anew) is answered
    by the kernel with an error that says which one was right.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._known: set[int] = set()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)

    def arm(self, fd: int, mask: int) -> None:
        if fd in self._known:
            try:
                self._epoll.modify(fd, mask)
            except FileNotFoundError:
                self._epoll.register(fd, mask)
            return
        try:
            self._epoll.register(fd, mask)
        except FileExistsError:
            self._epoll.modify(fd, mask)
        self._known.add(fd)

    def disarm(self, fd: int) -> None:
        if fd == self._wake:
            # Reported among others, and nobody knows it: it has done what it is for.
            os.eventfd_read(fd)
            return
        self._known.discard(fd)
        try:
            self._epoll.unregister(fd)
        except OSError:
            # Closed already; epoll forgot it by itself.
            return

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        found: list[tuple[int, int]] = self._epoll.poll(timeout)
        if len(found) == 1 and found[0][0] == self._wake:
            os.eventfd_read(self._wake)
            return ()
        return found

    def wake(self) -> None:
        # The number may be anybody's once it is closed: a late wake must not write to it.
        wake = self._wake
        if wake >= 0:
            os.eventfd_write(wake, 1)

    def close(self) -> None:
        self._epoll.close()
        wake, self._wake = self._wake, -1
        os.close(wake)


class SelectorPoller:
    """Any selector of the standard library, with a socket pair to wake it.

    A selector must not be changed while another thread waits in it, so a change first brings the
    waiting thread out: it is queued, and the wait begins anew with it. What epoll would refuse is
    refused at once here too, for later there is nobody to tell.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._selector = selector if selector is not None else selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._changes: list[tuple[int, int]] = []
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._selector.register(self._receiver, selectors.EVENT_READ)

    def arm(self, fd: int, mask: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self._change(fd, mask)

    def disarm(self, fd: int) -> None:
        self._change(fd, 0)

    def _change(self, fd: int, mask: int) -> None:
        with self._lock:
            self._changes.append((fd, mask))
        self.wake()

    def _apply(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, []
        for fd, mask in changes:
            try:
                self._selector.unregister(fd)
            except (KeyError, ValueError, OSError):
                pass
            if mask:
                events = (selectors.EVENT_READ if mask & READ else 0) | (
                    selectors.EVENT_WRITE if mask & WRITE else 0
                )
                try:
                    self._selector.register(fd, events)
                except (ValueError, OSError):
                    continue  # closed since

    def wait(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        self._apply()
        found: list[tuple[int, int]] = []
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._receiver:
                self._hear()
                continue
            mask = (READ if events & selectors.EVENT_READ else 0) | (
                WRITE if events & selectors.EVENT_WRITE else 0
            )
            found.append((key.fd, mask))
        return found

    def _hear(self) -> None:
        try:
            while self._receiver.recv(4096):
                pass
        except BlockingIOError:
            return  # heard all

    def wake(self) -> None:
        try:
            self._sender.send(b"\0")
        except (BlockingIOError, OSError):
            # Full: the waiting thread is certain to come out. Closed: there is none.
            return

    def close(self) -> None:
        self._selector.close()
        self._receiver.close()
        self._sender.close()
