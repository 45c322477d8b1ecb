"""Test what your colors promise: explore schedules, find races, prove the order, replay failures."""
