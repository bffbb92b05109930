"""The command line: flags, environment and configuration file become Settings."""
