"""Measurements of the service on real servers; no tests."""
