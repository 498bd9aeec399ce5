//! Prefixes as lists.

use super::entry::{Entry, Found};
use super::{AHEAD, Stream};
use client::{Client, List};
use tokio::sync::mpsc;

/// All objects below a prefix, in key order, by their names below it.
pub(crate) fn list(client: Client, bucket: String, prefix: String) -> Stream<Found> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut pages = client.objects(List { bucket: &bucket, prefix: &prefix, ..List::default() });
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return,
                Err(error) => {
                    // Nobody is listening any more when this fails.
                    let _gone = sender.send(Found::Broken(error.into())).await;
                    return;
                }
            };
            for object in page.entries {
                let Some(name) = object.key.strip_prefix(&prefix) else {
                    let error =
                        anyhow::anyhow!("trust the list: {:?} lacks the prefix asked for", object.key);
                    let _gone = sender.send(Found::Broken(error)).await;
                    return;
                };
                let entry = Entry {
                    name: name.to_owned(),
                    size: object.size,
                    modified: object.last_modified,
                    etag: Some(object.etag),
                    ..Entry::default()
                };
                if sender.send(Found::Entry(entry)).await.is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
