"""The port to the contents of Milvus's logs, by pyarrow, which the extra ``binlogs`` brings.

pyarrow is large: this package is imported by those who read rows, and not before they do.
"""

from milvus_backup_server.adapters.binlog.reader import ArrowBinlogReader

__all__ = ["ArrowBinlogReader"]
