"""Planted bugs: a build of the engine made once with switches for them, each of which a harness must find."""
