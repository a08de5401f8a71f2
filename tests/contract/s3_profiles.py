"""Profiles of the SeaweedFS of the contract tests."""

from milvus_backup_server.adapters.s3 import S3Credentials, S3Profile
from tests.support.seaweedfs import SeaweedFS


def profile(seaweed: SeaweedFS, bucket: str, *, secret: str = "", endpoint: str = "") -> S3Profile:
    """Return the profile of a bucket, with another secret or endpoint if given."""
    return S3Profile(
        provider="minio",
        endpoint=endpoint or seaweed.endpoint,
        region=seaweed.region,
        bucket=bucket,
        addressing="path",
        credentials=S3Credentials(seaweed.access_key, secret or seaweed.secret_key),
    )
