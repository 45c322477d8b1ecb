"""Slots: engines with one lane that run batches of one color's callbacks, elsewhere."""
