"""What is measured. Each function does one piece of work on one runtime and says how long it took.

A function returns ``{"count": units of work, "seconds": time}`` or, where time is not the question,
other figures by name. The work inside a family is one piece of code, called by every peer. A peer's
package is imported inside its function: where it is not installed, the child answers that it is
absent.
"""
