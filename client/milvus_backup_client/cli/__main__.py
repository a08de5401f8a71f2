"""The command line as ``python -m milvus_backup_client.cli``."""

from milvus_backup_client.cli import main

if __name__ == "__main__":
    main()
