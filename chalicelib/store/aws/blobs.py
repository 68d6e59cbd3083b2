"""Objects in S3; the bucket encrypts by default."""

from __future__ import annotations

from botocore.exceptions import ClientError

from chalicelib.config import Settings
from chalicelib.store.aws.connection import client

_GONE = frozenset({"NoSuchKey", "404"})


class S3Blobs:
    """The port Blobs on S3."""

    def __init__(self, settings: Settings) -> None:
        self._s3 = client(settings, "s3")
        self._bucket = settings.bucket

    def put(self, key: str, data: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=data)

    def get(self, key: str, offset: int, length: int) -> bytes | None:
        if length == 0:
            return b""
        try:
            answer = self._s3.get_object(
                Bucket=self._bucket, Key=key, Range=f"bytes={offset}-{offset + length - 1}"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        return bytes(answer["Body"].read())
