//! Buckets whose row is damaged, as `doctor` tells of them.

use crate::report::finding::Finding;
use crate::text::{counted, quote_sh};
use objectstore::{DamagedBucket, ObjectStore};

/// Buckets that get a line of their own.
const LINES_MAX: usize = 20;

/// Nothing where all can be read.
pub(super) async fn findings(store: &ObjectStore) -> Vec<Finding> {
    diagnose(store.damaged_buckets(usize::MAX).await)
}

fn diagnose(damaged: objectstore::Result<Vec<DamagedBucket>>) -> Vec<Finding> {
    let fix =
        "recover the catalog from the backup (firn recover --help); its bodies stay where they are meanwhile";
    let damaged = match damaged {
        Ok(damaged) => damaged,
        Err(error) => return vec![Finding::fault("buckets", format!("read buckets: {error}"), fix)],
    };
    let line = |DamagedBucket { name, error }: &DamagedBucket| {
        let uri = quote_sh(&format!("s3://{name}"));
        Finding::fault("bucket", format!("{uri} can't be served, listed or made anew: {error}"), fix)
    };
    let mut findings: Vec<Finding> = damaged.iter().take(LINES_MAX).map(line).collect();
    let more = damaged.len().saturating_sub(LINES_MAX) as u64;
    if more > 0 {
        let text = format!("{} can't be served either", counted(more, "bucket more", "more buckets"));
        findings.push(Finding::fault("buckets", text, fix));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::diagnose;
    use objectstore::DamagedBucket;

    #[test]
    fn buckets_whose_row_is_damaged_are_faults_and_many_of_them_few_lines() {
        assert!(diagnose(Ok(Vec::new())).is_empty());
        let damaged = |n: usize| DamagedBucket { name: format!("b{n}"), error: "it is cut short".to_owned() };
        let found = diagnose(Ok(vec![damaged(1)]));
        assert!(
            !found[0].ok
                && found[0].detail == "s3://b1 can't be served, listed or made anew: it is cut short"
        );
        assert!(found[0].fix.as_deref().unwrap().contains("firn recover --help"));
        let found = diagnose(Ok((0..23).map(damaged).collect()));
        assert!(
            found.len() == 21 && found[20].detail == "3 more buckets can't be served either",
            "{found:?}"
        );
        let closed = objectstore::Error::Engine(engine::Error::Closed);
        assert!(!diagnose(Err(closed))[0].ok);
    }
}
