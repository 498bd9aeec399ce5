//! An S3 client over hyper: what the command line and the backup use.
