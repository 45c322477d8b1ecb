"""What posts callbacks from outside: descriptors, timers, signals."""
