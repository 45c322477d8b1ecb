"""Bank accounts, one color each: transfers in parallel, and no lock anywhere.

Each account is touched by callbacks of its own color only, so `balance` needs no lock and an
account's postings keep their order. A transfer is a callback in one color that posts to the other.

It prints::

    money in all accounts: 20000
    lowest balance is not negative: True
    withdrawals in the order posted: True
    transfers asked for: 5000
"""

from __future__ import annotations

import random

from colorsched import Runtime

ACCOUNTS = 20
TRANSFERS = 5000


class Account:
    """State that only callbacks of one color touch."""

    def __init__(self, name: str, balance: int) -> None:
        self.name = name
        self.balance = balance
        self.refused = 0
        self.seen: list[int] = []


def withdraw(rt: Runtime, number: int, source: Account, target: Account, amount: int) -> None:
    """In the color of `source`: take the money and send it on."""
    source.seen.append(number)
    if source.balance < amount:
        source.refused += 1
        return
    source.balance -= amount
    rt.color(target.name).post(deposit, target, amount)


def deposit(target: Account, amount: int) -> None:
    """In the color of `target`."""
    target.balance += amount


def main() -> None:
    """Run random transfers and check what must hold afterwards."""
    accounts = [Account(f"account-{n}", 1000) for n in range(ACCOUNTS)]
    chance = random.Random(1)
    with Runtime() as rt:
        for number in range(TRANSFERS):
            source, target = chance.sample(accounts, 2)
            amount = chance.randint(1, 500)
            rt.color(source.name).post(withdraw, rt, number, source, target, amount)
    # Here all has run: leaving the block waits for it.
    print("money in all accounts:", sum(account.balance for account in accounts))
    print("lowest balance is not negative:", min(account.balance for account in accounts) >= 0)
    in_order = all(account.seen == sorted(account.seen) for account in accounts)
    print("withdrawals in the order posted:", in_order)
    print("transfers asked for:", sum(len(account.seen) for account in accounts))


if __name__ == "__main__":
    main()
