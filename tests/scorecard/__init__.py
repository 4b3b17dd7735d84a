"""The scorecard of reliability: rows run, printed, and written into the README."""
