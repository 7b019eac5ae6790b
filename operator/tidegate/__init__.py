"""Tidegate: admit trading strategies, gate live against paper, prove it afterwards."""

__version__ = "0.1.0"
