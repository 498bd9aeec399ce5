//! The HTTP doors: S3 and admin.
