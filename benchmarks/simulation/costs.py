"""What the steps of a runtime take, in seconds."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Costs:
    """One interpreter on one machine.

    What idle workers do again and again (``spin``, ``seek``, ``lap``, ``lock``) must take some
    time, or simulated time would stand still.

    Where they come from: ``benchmarks.workloads.calibrating`` measures each alone, in a runtime
    that is not doing what it is later compared with.
    """

    gil: bool = False
    interval: float = 0.005
    """How long a thread waits for the GIL before it asks for it (``sys.getswitchinterval``)."""
    switch: float = 0.0
    """To hand the GIL over."""
    post: float = 0.0
    """From outside, to a color that is ready already."""
    ready: float = 0.0
    """The rest of a post from outside that makes its color ready."""
    post_inside: float = 0.0
    """From a callback."""
    turn: float = 0.0
    """To begin and end a turn."""
    callback: float = 0.0
    """To run a callback that does nothing."""
    lap: float = 0.0
    """To begin a lap when there is more than one lane."""
    look: float = 0.0
    """To look at one more lane, at the begin of a lap: for the laps' order, and for laggards."""
    seek: float = 0.0
    """To look at one more lane for something to steal."""
    steal: float = 0.0
    """To move one color from a lane to another."""
    lock: float = 0.0
    """The scheduler's lock is held so long to enter or leave the sleepers."""
    lock_look: float = 0.0
    """... and longer by this for each lane, when a worker leaves them."""
    handoff: float = 0.0
    """What a thread loses that finds a lock taken and must wait for it."""
    doze: float = 0.0
    """For each lane, to look once more before sleeping."""
    unpark: float = 0.0
    """For who wakes a sleeping worker."""
    wake: float = 0.0
    """From then until that worker runs."""
    spin: float = 0.0
    """How long a worker spins before it sleeps (free-threaded builds)."""
    poll: float = 0.0
    """To look at the descriptors once."""
    deliver: float = 0.0
    """To post one descriptor's callback."""
    sharing: float = 0.0
    """How much longer a callback takes while other threads run too (free-threaded builds)."""
    post_sharing: float = 0.0
    """How much longer a post takes then."""
    line: float = 0.0
    """The part of ``sharing`` for which all threads want the same cache line: one has it at a
    time. The rest only takes longer."""


@frozen(kw_only=True)
class SlotCosts:
    """The mode with slots: one parent with the GIL, and processes behind pipes.

    Measured on the real ones by ``benchmarks.workloads.calibrating_slots``.
    """

    interval: float = 0.005
    """As of ``Costs``; so are ``switch``, ``unpark`` and ``wake``."""
    switch: float = 0.0
    unpark: float = 0.0
    wake: float = 0.0
    relax: float = 0.0
    """The worker lets others run for so long before it sleeps (``colorsched.ports.relax``)."""
    post: float = 0.0
    """To a color that is ready already; the call is pickled."""
    ready: float = 0.0
    """The rest of a post that makes its color ready."""
    send: float = 0.0
    """To make a batch, pickle it, and give it to its slot's thread ..."""
    send_each: float = 0.0
    """... and for each of its callbacks."""
    carry: float = 0.0
    """What a slot's thread does with a batch: write it, read the answer, unpickle that ..."""
    carry_each: float = 0.0
    """... and for each of its callbacks."""
    hand_over: float = 0.0
    """What the worker does with a color that has something to run."""
    settle: float = 0.0
    """What it does with a batch that has come back ..."""
    settle_each: float = 0.0
    """... and for each callback that was run."""
    enter_look: float = 0.0
    """To look whether one more slot is free, for a color that comes."""
    steal_look: float = 0.0
    """To look at one more line, for a slot that has none."""
    trip: float = 0.0
    """There and back for a batch, while the parent does something else."""
    callback: float = 0.0
    """In the slot for each callback: unpickle, call, pickle the result."""
