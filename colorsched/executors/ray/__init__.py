"""Executors with one lane, each a Ray actor: on this machine, or on several."""
