"""A model of the scheduler in simulated time, to look past the machine at hand.

- ``engine``: simulated time, threads, processors, and the interpreter lock.
- ``costs``: what each step of a runtime takes; measured by ``benchmarks.workloads.calibrating``
  and ``calibrating_slots``.
- ``loads``: which colors get which callbacks, from whom.
- ``lanes``: colors, lanes, sleepers and steals, with the decisions of ``colorsched.core.policy``.
- ``threads``: worker threads, posters, the poller and the network on those lanes.
- ``slots``: the other mode, colors sent in batches from one parent to one-lane slots.
- ``outcome``: where the time went, and which resource was the limit.
- ``sweep``: one load over many numbers of workers.

Everything here is deterministic: the same load, costs and seed give the same outcome.
"""
