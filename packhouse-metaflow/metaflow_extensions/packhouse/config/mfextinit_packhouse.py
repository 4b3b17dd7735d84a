"""Metaflow's configuration of `--datastore packhouse`."""

from metaflow.metaflow_config_funcs import from_conf

DATASTORE_SYSROOT_PACKHOUSE = from_conf("DATASTORE_SYSROOT_PACKHOUSE")
