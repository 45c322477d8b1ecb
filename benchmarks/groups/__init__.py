"""Which workloads stand side by side, and which ratio is asked for.

One module a group, each with ``run(settings)``.
"""
