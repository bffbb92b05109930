"""The controllers that run in the embedded cluster."""
