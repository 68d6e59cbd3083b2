"""Postern: the Nylas v2 API over a user's own mail server, on AWS Lambda, DynamoDB, SQS and S3."""
