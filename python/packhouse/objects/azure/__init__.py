"""Objects in a container of Azure Blob Storage."""

from packhouse.objects.azure.options import AzureOptions
from packhouse.objects.azure.store import AzureObjects

__all__ = ["AzureObjects", "AzureOptions"]
