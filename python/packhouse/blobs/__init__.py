"""The blob store: the pipeline that saves and loads, and the commit that concurrent saves share."""
