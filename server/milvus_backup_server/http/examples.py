"""Requests to begin with, for the API page."""

from __future__ import annotations

from typing import Final

from fastapi.openapi.models import Example

NAME: Final = "my_backup"

CREATE: Final[dict[str, Example]] = {
    "one collection": {
        "summary": "Back up one collection and answer at once",
        "value": {"async": True, "backup_name": NAME, "collection_names": ["hello_milvus"]},
    },
    "everything": {
        "summary": "Back up all collections and wait for the end",
        "value": {"backup_name": NAME},
    },
    "databases": {
        "summary": "Back up one database and one collection of another",
        "value": {
            "async": True,
            "backup_name": NAME,
            "filter": {"shop": {"colls": ["*"]}, "default": {"colls": ["hello_milvus"]}},
        },
    },
}
RESTORE: Final[dict[str, Example]] = {
    "with a suffix": {
        "summary": "Restore one collection under another name",
        "value": {
            "async": True,
            "backup_name": NAME,
            "collection_names": ["hello_milvus"],
            "collection_suffix": "_recover",
        },
    },
    "same names": {
        "summary": "Restore everything under its own name, with its indexes",
        "value": {"async": True, "backup_name": NAME, "restoreIndex": True},
    },
    "new names": {
        "summary": "Restore collections under new names",
        "value": {
            "async": True,
            "backup_name": NAME,
            "collection_renames": {"default.hello_milvus": "archive.hello_milvus_1"},
        },
    },
    "a plan": {
        "summary": "Restore what a plan maps",
        "value": {
            "async": True,
            "backup_name": NAME,
            "restorePlan": {
                "mapping": [
                    {
                        "source": "default",
                        "target": "archive",
                        "colls": [{"source": "hello_milvus", "target": "hello_milvus_1"}],
                    }
                ]
            },
        },
    },
}
RESTORE_SECONDARY: Final[dict[str, Example]] = {
    "refused": {"summary": "Always refused", "value": {"backup_name": NAME}},
}
