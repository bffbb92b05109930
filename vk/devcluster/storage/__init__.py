"""Objects in memory: what is stored, listed, watched and selected."""
