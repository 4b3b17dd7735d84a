"""Metaflow's datastore in a packhouse store: what `--datastore packhouse` is made of, without Metaflow itself.

Blobs are blobs; the files of a task are what `packhouse.tasks` keeps of one, so that `packhouse runs`, `show` and
`logs` and its flow datastores read Metaflow's runs; any other file is a document that refers to a blob.
"""
