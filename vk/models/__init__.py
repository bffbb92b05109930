"""Values that cross the border between core and provider: frozen attrs classes without I/O."""
