"""One thin file a command: read the options, make one call, print one summary."""
