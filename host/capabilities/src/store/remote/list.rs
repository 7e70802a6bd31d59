//! Listing remote stores.

use futures::StreamExt;
use object_store::path::Path;

use super::Remote;
use crate::store::key::Key;
use crate::store::{ListRequest, Page};
use crate::{Error, Kind};

/// Keys behind a folded prefix that are read past before the listing starts
/// again behind them: as many as one answer of a bucket holds.
const READ_PAST: usize = 1000;

/// One page. The request was checked.
pub(super) async fn page(remote: &Remote, request: &ListRequest) -> Result<Page, Error> {
    let mut page = Page::default();
    // Stores list by whole segments; the rest of the prefix is checked here.
    let folder = match request.prefix.rsplit_once('/') {
        None => None,
        Some((folder, _)) => match Key::parse(folder) {
            Ok(key) => Some(remote.path(&key)?),
            Err(_) => return Ok(page), // the beginning of no key
        },
    };
    let root = match remote.root.as_ref() {
        "" => String::new(),
        root => format!("{root}/"),
    };
    let folder = folder.or_else(|| (!root.is_empty()).then(|| remote.root.clone()));
    let cursor = request.cursor.as_deref();
    let folded_cursor = request.folded_cursor();
    // Where the store begins saves reading what is skipped below in any case.
    let mut offset = match folded_cursor {
        Some(folded) => Some(behind(folded)),
        None => request.cursor.clone(),
    };
    let mut last: Option<String> = None;
    let mut passed = 0;
    'listing: loop {
        let after = offset
            .take()
            .and_then(|after| Path::parse(format!("{root}{after}")).ok());
        let mut objects = match after {
            None => remote.store.list(folder.as_ref()),
            Some(after) => remote.store.list_with_offset(folder.as_ref(), &after),
        };
        while let Some(found) = objects.next().await {
            let found = found.map_err(|e| listing(request, e))?;
            let Some(key) = found.location.as_ref().strip_prefix(&root) else {
                continue;
            };
            let done = cursor.is_some_and(|cursor| key <= cursor)
                || folded_cursor.is_some_and(|folded| key.starts_with(folded));
            if done || !key.starts_with(&request.prefix) {
                continue;
            }
            if let Some(done) = page.prefixes.last()
                && key.starts_with(done.as_str())
            {
                passed += 1;
                if passed == READ_PAST {
                    offset = Some(behind(done));
                    continue 'listing;
                }
                continue;
            }
            if page.objects.len() + page.prefixes.len() == request.limit {
                page.cursor = last;
                break 'listing;
            }
            match request.fold(key) {
                Some(folded) => {
                    last = Some(folded.to_owned());
                    page.prefixes.push(folded.to_owned());
                    passed = 0;
                }
                None => {
                    last = Some(key.to_owned());
                    page.objects.push(remote.meta(key.to_owned(), &found));
                }
            }
        }
        break;
    }
    Ok(page)
}

/// A text that sorts behind all keys that begin with `prefix`, or all but a few.
fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn listing(request: &ListRequest, source: object_store::Error) -> Error {
    Error::new(
        Kind::Unavailable,
        format!("cannot list `{}`", request.prefix.escape_debug()),
    )
    .with_source(source)
}
