"""Mutants of correct programs, one fault each: a bank, a chat room, a cache, a rate limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorsched.testing import Shared
from corpus.specimen import Check, Specimen, add, append, late, specimen

if TYPE_CHECKING:
    from colorsched import Runtime


def bank(rt: Runtime, *, mutation: str = "") -> Check:
    """Transfers between accounts, each of which has its color."""
    accounts = {
        "ann": Shared(100, name="ann"),
        "bob": Shared(0, name="bob"),
        "cyd": Shared(0, name="cyd"),
    }

    def transfer(payer: str, payee: str, amount: int) -> None:
        if accounts[payer].get() < amount:
            return
        if mutation == "split callback":
            rt.color(("approval", amount)).post(rt.color(payer).post, debit, payer, payee, amount)
        else:
            debit(payer, payee, amount)

    def debit(payer: str, payee: str, amount: int) -> None:
        add(accounts[payer], -amount)
        color = payer if mutation == "wrong color" else payee
        rt.color(color).post(add, accounts[payee], amount)

    rt.color("ann").post(transfer, "ann", "bob", 60)
    late(rt, "branch", 3, rt.color("ann"), transfer, "ann", "cyd", 50)
    rt.color("bob").post(transfer, "bob", "cyd", 10)

    def check() -> None:
        balances = [account.get() for account in accounts.values()]
        assert sum(balances) == 100
        assert min(balances) >= 0

    return check


def chat(rt: Runtime, *, mutation: str = "") -> Check:  # noqa: C901 - a program with its mutants
    """A room with its color; what is said goes to each member's color, to all in one order."""
    members: Shared[tuple[str, ...]] = Shared((), name="members")
    heard = {name: Shared[tuple[str, ...]]((), name=f"{name} heard") for name in ("ann", "bob")}
    windows = Shared(0, name="windows open")
    room = rt.color("room")

    def join(name: str) -> None:
        append(members, name)

    def window(name: str) -> None:
        if name not in members.get():
            raise LookupError(f"{name} is no member")
        add(windows)

    def say(text: str) -> None:
        for name in members.get():
            rt.color(name).post(append, heard[name], text)

    def enter(name: str) -> None:
        client = rt.color(f"client of {name}")
        if mutation == "swapped posts":
            client.post(room.post, window, name)
            room.post(join, name)
        else:
            room.post(join, name)
            client.post(room.post, window, name)

    def write(text: str) -> None:
        if mutation == "wrong color":
            rt.color("writer").post(say, text)
        else:
            room.post(say, text)

    enter("ann")
    enter("bob")
    rt.color("ann's keyboard").post(write, "hello")
    rt.color("bob's keyboard").post(write, "hi")

    def check() -> None:
        assert windows.get() == 2
        assert heard["ann"].get() == heard["bob"].get()
        assert len(heard["ann"].get()) == 2

    return check


def cache(rt: Runtime, *, mutation: str = "") -> Check:  # noqa: C901 - a program with its mutants
    """A cache with a color for each key: who misses loads, who comes meanwhile waits for that."""
    value = Shared("", name="cached value")
    loading = Shared(False, name="loading")
    waiting: Shared[tuple[str, ...]] = Shared((), name="clients that wait")
    loads = Shared(0, name="loads")
    served = Shared(0, name="clients served")
    key = rt.color(("key", "page"))
    origin = rt.color("origin")

    def get(client: str) -> None:
        if value.get():
            rt.color("door").post(add, served)
            return
        append(waiting, client)
        if not loading.get():
            if mutation == "split callback":
                rt.color(client).post(key.post, begin)
            else:
                begin()

    def begin() -> None:
        loading.set(True)
        origin.post(load)

    def load() -> None:
        add(loads)
        if mutation == "wrong color":
            store()
        else:
            key.post(store)

    def store() -> None:
        value.set("page")
        loading.set(False)
        for _ in waiting.get():
            rt.color("door").post(add, served)
        waiting.set(())

    key.post(get, "client 1")
    late(rt, "road", 4, key, get, "client 2")

    def check() -> None:
        assert (loads.get(), served.get()) == (1, 2)

    return check


def limiter(rt: Runtime, *, mutation: str = "") -> Check:
    """A rate limiter: clients take tokens, a clock puts one back; never more than two."""
    tokens = Shared(1, name="tokens")
    least = Shared(1, name="fewest tokens")
    color = rt.color("limiter")

    def ask(client: str) -> None:
        if tokens.get() > 0:
            if mutation == "split callback":
                rt.color(client).post(color.post, take)
            else:
                take()

    def take() -> None:
        add(tokens, -1)
        least.set(min(least.get(), tokens.get()))

    def refill() -> None:
        tokens.set(min(2, tokens.get() + 1))

    color.post(ask, "client 1")
    late(rt, "road", 3, color, ask, "client 2")
    if mutation == "wrong color":
        late(rt, "gears", 1, rt.color("clock"), refill)
    else:
        late(rt, "gears", 1, color, refill)

    def check() -> None:
        assert least.get() >= 0
        assert tokens.get() <= 2

    return check


SPECIMENS: tuple[Specimen, ...] = (
    specimen(
        bank,
        name="bank_wrong_color",
        source="mutant of a bank: wrong color",
        mutation="wrong color",
        expects="race",
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        bank,
        name="bank_split_callback",
        source="mutant of a bank: split callback",
        mutation="split callback",
        expects="assertion",
        small=True,
    ),
    specimen(
        chat,
        name="chat_wrong_color",
        source="mutant of a chat room: wrong color",
        mutation="wrong color",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
    specimen(
        chat,
        name="chat_swapped_posts",
        source="mutant of a chat room: swapped posts",
        mutation="swapped posts",
        expects="exception",
        also=("assertion",),
    ),
    specimen(
        cache,
        name="cache_wrong_color",
        source="mutant of a cache with key colors: wrong color",
        mutation="wrong color",
        expects="race",
        also=("assertion",),
        shows_in_fifo=True,
    ),
    specimen(
        cache,
        name="cache_split_callback",
        source="mutant of a cache with key colors: split callback",
        mutation="split callback",
        expects="assertion",
    ),
    specimen(
        limiter,
        name="limiter_wrong_color",
        source="mutant of a rate limiter: wrong color",
        mutation="wrong color",
        expects="race",
        shows_in_fifo=True,
        small=True,
    ),
    specimen(
        limiter,
        name="limiter_split_callback",
        source="mutant of a rate limiter: split callback",
        mutation="split callback",
        expects="assertion",
        small=True,
    ),
)
