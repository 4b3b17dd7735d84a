"""A small store to test the harnesses with: sound by default, with a switch for every bug a harness must find."""
