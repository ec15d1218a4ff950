"""The command line: one file a command. It reads arguments, calls the rest and prints; it decides nothing."""
