"""Objects in a bucket of S3, or of anything that speaks it."""

from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.store import S3Objects

__all__ = ["S3Objects", "S3Options"]
