"""The in-memory store: which entries live, within a bound in bytes, with SIEVE eviction.

Two parts, so that no lock is needed. `Table` maps a key to its entry; an entry of a key is read
and written only in that key's color. `Policy` keeps the accounts and the eviction order; it is
called only in one color of its own. A hit sets `entry.visited` and nothing else: a lost or late
write of that flag costs at most a slightly worse choice of victim.

What the colors send each other:

    key's color       table.put(entry)        then posts   policy.insert(entry, replaces=previous)
    key's color       table.drop(entry)       then posts   policy.remove(entry)
    policy's color    victims = policy.insert(...)         then posts, for each victim,
                                              table.drop(victim) to the color of victim.key

Every message names the entry itself, not only its key, and `drop` and `remove` do nothing when
that entry is not the living one any more: messages that crossed each other are harmless.
Between the choice of a victim and its drop, its bytes are in memory but no longer accounted.

SIEVE: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024. New entries enter at the head; a hand
walks from the tail to the head, clears `visited` where it is set, and evicts where it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colorsched.web.stored import Stored

ENTRY_OVERHEAD: Final = 256
"""Bytes counted for an entry beside its variants: the Entry, its links, its place in the dict."""


@define(eq=False)
class Entry:
    """What is stored under one key: its variants, newest first, never empty.

    Owned by the key's color, but for `visited` (anyone may set it) and the links (the policy's).
    `variants` is never changed in place: a new entry replaces this one.
    """

    key: bytes
    variants: tuple[Stored, ...]
    visited: bool = False
    size: int = field(init=False)
    """Bytes this entry counts: overhead, key, and each variant's own size."""
    newer: Entry | None = field(init=False, default=None, repr=False)
    older: Entry | None = field(init=False, default=None, repr=False)
    live: bool = field(init=False, default=False)
    """Whether the policy counts this entry; the policy's own."""

    def __attrs_post_init__(self) -> None:
        self.size = ENTRY_OVERHEAD + len(self.key) + sum(one.size for one in self.variants)


class Table:
    """Key to entry. Each key is touched only in its color; the dict itself is safe to share."""

    __slots__ = ("_entries", "find")

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self.find: Final = self._entries.get
        """find(key) -> Entry | None: the hot path's look-up, without a frame of ours."""

    def put(self, entry: Entry) -> Entry | None:
        """Make `entry` its key's entry; returns the one it replaced, for `Policy.insert`."""
        previous = self._entries.get(entry.key)
        self._entries[entry.key] = entry
        return previous

    def drop(self, entry: Entry) -> bool:
        """Forget `entry`, if it still is its key's entry; says whether it was."""
        if self._entries.get(entry.key) is not entry:
            return False
        del self._entries[entry.key]
        return True

    def __len__(self) -> int:
        return len(self._entries)


@frozen
class PolicyStats:
    """The policy's figures at one moment, in entries and bytes."""

    capacity: int
    bytes: int
    entries: int
    evicted: int
    refused: int


class Policy:
    """Accounts and eviction order. Call every method in one color (or thread) only; no locks."""

    def __init__(self, *, capacity: int, largest_share: float = 0.125) -> None:
        """`capacity` in bytes; an entry above `largest_share` of it (0 < share <= 1) is refused.

        Raises ValueError for a capacity below 1 or a share outside its range.
        """
        if capacity < 1:
            raise ValueError(f"the store's capacity must be at least 1 byte, not {capacity}")
        if not 0 < largest_share <= 1:
            raise ValueError(
                f"largest_share is a part of the capacity, above 0 and at most 1: {largest_share}"
            )
        self.capacity: Final = capacity
        self.largest: Final = int(capacity * largest_share)
        """The size in bytes of the largest entry accepted; constant, so any color may read it."""
        self._newest: Entry | None = None
        self._oldest: Entry | None = None
        self._hand: Entry | None = None
        self._bytes = 0
        self._count = 0
        self._evicted = 0
        self._refused = 0

    def insert(self, entry: Entry, *, replaces: Entry | None = None) -> Sequence[Entry]:
        """Count `entry`, in place of `replaces` if that lives; returns the entries to drop.

        The victims are no longer counted. A refused entry is its own victim. A replacement enters
        as a new entry does, but keeps the `visited` mark of the one it replaces.
        """
        if replaces is not None and replaces.live:
            entry.visited = entry.visited or replaces.visited
            self._unlink(replaces)
        if entry.live:
            raise ValueError(f"{entry.key!r} is in the store already; make a new Entry instead")
        if entry.size > self.largest:
            self._refused += 1
            return (entry,)
        victims: list[Entry] = []
        while self._bytes + entry.size > self.capacity:
            victims.append(self._evict())
        self._link(entry)
        return victims

    def remove(self, entry: Entry) -> bool:
        """Stop counting `entry`; False if it was not counted (evicted or replaced before)."""
        if not entry.live:
            return False
        self._unlink(entry)
        return True

    def stats(self) -> PolicyStats:
        """The figures now."""
        return PolicyStats(
            capacity=self.capacity,
            bytes=self._bytes,
            entries=self._count,
            evicted=self._evicted,
            refused=self._refused,
        )

    def _link(self, entry: Entry) -> None:
        entry.older = self._newest
        if self._newest is None:
            self._oldest = entry
        else:
            self._newest.newer = entry
        self._newest = entry
        entry.live = True
        self._bytes += entry.size
        self._count += 1

    def _unlink(self, entry: Entry) -> None:
        if self._hand is entry:
            self._hand = entry.newer
        if entry.newer is None:
            self._newest = entry.older
        else:
            entry.newer.older = entry.older
        if entry.older is None:
            self._oldest = entry.newer
        else:
            entry.older.newer = entry.newer
        entry.newer = entry.older = None
        entry.live = False
        self._bytes -= entry.size
        self._count -= 1

    def _evict(self) -> Entry:
        oldest = self._oldest
        assert oldest is not None, f"{self._bytes} bytes are counted in no entry"
        candidate = self._hand or oldest
        # Ends after one round at the latest, unless every entry is hit again while the hand walks.
        while candidate.visited:
            candidate.visited = False
            candidate = candidate.newer or oldest
        self._hand = candidate
        self._unlink(candidate)
        self._evicted += 1
        return candidate
