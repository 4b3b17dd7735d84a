"""Tells Metaflow where the list of replaced modules stands."""

module_overrides = "overrides"
