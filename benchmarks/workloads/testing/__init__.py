"""What the testing kit is measured by: bugs found, schedules a second, what watching costs."""
