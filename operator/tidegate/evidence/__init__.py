"""Readers of evidence: what the guards stream."""
