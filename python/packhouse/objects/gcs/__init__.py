"""Objects in a bucket of Google Cloud Storage."""

from packhouse.objects.gcs.options import GCSOptions
from packhouse.objects.gcs.store import GCSObjects

__all__ = ["GCSObjects", "GCSOptions"]
