"""The command line, one file per command. It reads arguments, calls other packages and prints."""
