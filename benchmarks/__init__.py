"""Speed beside its peers: every figure is a ratio of runs that took turns on one machine.

A map of the package, from the bottom up:

- ``arithmetic``: medians, ratios, Zipf keys, the parsing of wrk's words; pure.
- ``findings``: how many bugs searches found, and how soon; pure.
- ``tables``: aligned tables, bars and verdicts as text; pure.
- ``machine``: what this machine is, and which interpreters it has.
- ``workloads``: what is measured. Each function does one piece of work on one runtime, alone in a
  fresh process.
- ``child``: the program in that process. ``children``: runs many of them in turns and keeps
  what they measured.
- ``servers`` and ``load``: web servers and their load; ``protocol_server``: one protocol on
  every kind of loop; ``framework_server``: others for scale.
- ``simulation``: the scheduler in simulated time, for machines that are not at hand.
- ``groups``: which workloads stand side by side, and which ratio is asked for.
- ``command``: reads the command line and runs the groups; ``__main__`` starts it.
"""
