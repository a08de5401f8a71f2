"""The settings of the service: read once at start, checked whole, all faults told together."""

from milvus_backup_server.settings.loading import Loaded, load
from milvus_backup_server.settings.models import Settings
from milvus_backup_server.settings.overrides import assignments
from milvus_backup_server.settings.sources import Given

__all__ = ["Given", "Loaded", "Settings", "assignments", "load"]
