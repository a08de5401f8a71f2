"""What is asked for with every object that is written: its storage class and encryption."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:  # the stubs are a tool of development
    from types_aiobotocore_s3.literals import ServerSideEncryptionType, StorageClassType


class Encryption(Enum):
    """Encryption by the store, as S3 names it."""

    NONE = ""
    S3 = "AES256"
    KMS = "aws:kms"


class WriteOptions(TypedDict, total=False):
    """Parameters of PutObject, CopyObject and CreateMultipartUpload."""

    StorageClass: StorageClassType
    ServerSideEncryption: ServerSideEncryptionType
    SSEKMSKeyId: str


@dataclass(frozen=True, slots=True)
class S3Writing:
    """How objects are written.

    Attributes:
        storage_class: Empty for the bucket's default.
        encryption: NONE leaves it to the bucket.
        kms_key_id: Of SSE-KMS; empty for the store's own key.
    """

    storage_class: str = ""
    encryption: Encryption = Encryption.NONE
    kms_key_id: str = ""

    def options(self) -> WriteOptions:
        """Return the parameters of a request that makes an object."""
        options = WriteOptions()
        if self.storage_class:
            options["StorageClass"] = self.storage_class  # type: ignore[typeddict-item]
        if self.encryption is not Encryption.NONE:
            options["ServerSideEncryption"] = self.encryption.value
        if self.encryption is Encryption.KMS and self.kms_key_id:
            options["SSEKMSKeyId"] = self.kms_key_id
        return options


PLAIN = S3Writing()
"""As the bucket has it."""
