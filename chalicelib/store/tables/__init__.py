"""One file per DynamoDB table."""
