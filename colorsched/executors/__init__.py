"""Who runs turns: worker threads, and the monitor that lets spare ones in."""
