//! What the ending of a name says about its content: for what stores many files whose type nobody says.

/// The content type that a name's ending stands for.
pub fn content_type_of(name: &str) -> Option<&'static str> {
    let name = name.rsplit('/').next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let extension = extension.to_ascii_lowercase();
    Some(match extension.as_str() {
        "css" => "text/css",
        "csv" => "text/csv",
        "gif" => "image/gif",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "md" => "text/markdown",
        "mp4" => "video/mp4",
        "parquet" => "application/vnd.apache.parquet",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "txt" | "log" => "text/plain",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "xml" => "application/xml",
        "zip" => "application/zip",
        "zst" => "application/zstd",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::content_type_of;

    #[test]
    fn the_ending_decides_and_a_hidden_file_has_none() {
        assert_eq!(content_type_of("a.b/c.CSV"), Some("text/csv"));
        assert_eq!(content_type_of("a.tar.zst"), Some("application/zstd"));
        for none in ["a.b/c", ".json", "a/.json", "json", "", "a.", "a.nobody"] {
            assert_eq!(content_type_of(none), None, "{none:?}");
        }
    }
}
