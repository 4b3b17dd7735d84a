"""What all services of buckets share: the seven verbs, uploads in parts, judging answers, renewing credentials.

A service adds what is its own: how requests are made and signed, what its answers and errors mean, how an upload goes.
"""

from packhouse.objects.bucket.options import BucketOptions
from packhouse.objects.bucket.store import BucketObjects

__all__ = ["BucketObjects", "BucketOptions"]
