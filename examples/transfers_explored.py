"""Transfers between accounts, tested: a race is found, then a bug of order, then there is a proof.

`explore` runs the program under many schedules, on simulated time; `verify` under every schedule
that makes a difference. Three versions of one transfer: in the color of whoever asks; in the
accounts' own colors, but looking first and taking later; and right.

It prints::

    by customer: race (RACE account ann)
    look then take: assertion (AssertionError: ann has -10)
    take at once: proved: 2 schedules, 2 classes; callbacks share nothing but the objects seen
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from colorsched.testing import ScheduleFailed, Shared, explore, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from colorsched import Runtime

Accounts = dict[str, Shared[int]]


def by_customer(rt: Runtime, accounts: Accounts, customer: str, amount: int) -> None:
    """Do it all in the customer's color: two customers touch one account."""
    rt.color(customer).post(move, accounts, amount)


def move(accounts: Accounts, amount: int) -> None:
    """Take it from Ann and give it to Bob."""
    ann, bob = accounts.values()
    if ann.get() >= amount:
        ann.set(ann.get() - amount)
        bob.set(bob.get() + amount)


def look_then_take(rt: Runtime, accounts: Accounts, customer: str, amount: int) -> None:
    """Look in one callback of the account's color, take in another."""

    def look() -> None:
        if accounts["ann"].get() >= amount:
            rt.color(customer).post(approve)

    def approve() -> None:
        rt.color("ann").post(take)

    def take() -> None:
        accounts["ann"].update(lambda balance: balance - amount)
        rt.color("bob").post(accounts["bob"].update, lambda balance: balance + amount)

    rt.color("ann").post(look)


def take_at_once(rt: Runtime, accounts: Accounts, customer: str, amount: int) -> None:
    """Look and take in one callback of the account's color."""

    def take() -> None:
        if accounts["ann"].get() >= amount:
            accounts["ann"].update(lambda balance: balance - amount)
            rt.color("bob").post(give)

    def give() -> None:
        accounts["bob"].update(lambda balance: balance + amount)

    rt.color(customer).post(rt.color("ann").post, take)


def program(
    transfer: Callable[[Runtime, Accounts, str, int], None], rt: Runtime
) -> Callable[[], None]:
    """Two customers want the same ten coins."""
    accounts = {name: Shared(start, f"account {name}") for name, start in (("ann", 10), ("bob", 0))}
    for customer in ("first", "second"):
        transfer(rt, accounts, customer, 10)

    def check() -> None:
        ann, bob = (account.get() for account in accounts.values())
        assert ann >= 0, f"ann has {ann}"
        assert ann + bob == 10, f"{ann} and {bob} are not 10"

    return check


def main() -> None:
    """Look for what is wrong with each."""
    for transfer in (by_customer, look_then_take):
        try:
            explore(partial(program, transfer))
        except ScheduleFailed as failed:
            name = transfer.__name__.replace("_", " ")
            failure = failed.failure
            what = str(failure).partition(": write")[0]
            print(f"{name}: {failure.kind} ({what})")
    print(f"take at once: {verify(partial(program, take_at_once))}")


if __name__ == "__main__":
    main()
