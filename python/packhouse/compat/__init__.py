"""Thin adapters to other libraries; each imports what it adapts only when it is used."""
