"""Measurements that each answer one question; run them by hand."""
