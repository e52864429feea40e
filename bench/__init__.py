"""Benchmark of the template and of the servers that people would use instead."""
