"""Colors, their queues, turns and who may run them: no threads, clocks or sockets in here."""
