//! Ranged reads of remote objects.
//!
//! Spans near each other are one request, requests run beside each other, and
//! the object's size comes with the first answer: no request is made to learn it.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use super::{Remote, failure};
use crate::Error;
use crate::store::key::Key;
use crate::store::{Backend, MAX_READ, Span, resolve};

/// Gaps up to this many bytes are read along: a request costs more than they do.
const GAP: u64 = 1 << 20;
/// A request that is at least this long takes no further gap.
const RUN: u64 = 16 << 20;
/// Requests under way at once for one read.
const PARALLEL: usize = 10;

/// Reads spans in the order asked.
pub(super) async fn spans(
    remote: &Remote,
    key: &Key,
    spans: &[Span],
) -> Result<Vec<Vec<u8>>, Error> {
    let path = remote.path(key)?;
    let asked = spans
        .iter()
        .fold(0_u64, |sum, span| sum.saturating_add(span.length));
    if asked <= MAX_READ
        && spans.iter().all(|span| span.length > 0)
        && let Ok(read) = fetch(remote, key, &path, spans).await
    {
        return Ok(read);
    }
    // Something is odd: a span beyond the end, of no length, or longer than the
    // object. With the size known it is an error that says so, or can be read.
    let spans = resolve(key, spans, remote.head(key).await?.size)?;
    fetch(remote, key, &path, &spans).await
}

async fn fetch(
    remote: &Remote,
    key: &Key,
    path: &Path,
    spans: &[Span],
) -> Result<Vec<Vec<u8>>, Error> {
    let parts: Vec<Vec<(usize, Vec<u8>)>> = futures::stream::iter(runs(spans))
        .map(|run| async move {
            let options = GetOptions {
                range: Some(GetRange::Bounded(run.bytes.clone())),
                ..GetOptions::default()
            };
            let got = remote.store.get_opts(path, options).await;
            let got = got.map_err(|e| failure(key, e))?;
            let size = got.meta.size;
            let begin = got.range.start;
            let bytes = got.bytes().await.map_err(|e| failure(key, e))?;
            // Copied out here, so that gaps are not held until all is there.
            run.spans
                .into_iter()
                .map(|index| {
                    let span = spans[index].within(key, size)?;
                    let start = span.offset.checked_sub(begin).map(usize::try_from);
                    let length = usize::try_from(span.length);
                    match (start, length) {
                        (Some(Ok(start)), Ok(length)) => bytes
                            .get(start..start + length)
                            .map(|part| (index, part.to_vec())),
                        _ => None,
                    }
                    .ok_or_else(|| {
                        Error::internal(format!("the store sent less of `{key}` than asked"))
                    })
                })
                .collect::<Result<_, Error>>()
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let mut read = vec![Vec::new(); spans.len()];
    for (index, bytes) in parts.into_iter().flatten() {
        read[index] = bytes;
    }
    Ok(read)
}

/// One request and the spans that it answers, by their place in the call.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    bytes: Range<u64>,
    spans: Vec<usize>,
}

/// Spans of some length, gathered into requests. Spans of no length need none.
fn runs(spans: &[Span]) -> Vec<Run> {
    let mut order: Vec<usize> = (0..spans.len()).filter(|i| spans[*i].length > 0).collect();
    order.sort_by_key(|index| spans[*index].offset);
    let mut runs: Vec<Run> = Vec::new();
    for index in order {
        let start = spans[index].offset;
        let end = start.saturating_add(spans[index].length);
        match runs.last_mut() {
            Some(run)
                if start <= run.bytes.end
                    || (start - run.bytes.end <= GAP && run.bytes.end - run.bytes.start < RUN) =>
            {
                run.bytes.end = run.bytes.end.max(end);
                run.spans.push(index);
            }
            _ => runs.push(Run {
                bytes: start..end,
                spans: vec![index],
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_spans_share_a_request_and_far_ones_do_not() {
        let at = |offset, length| Span { offset, length };
        let far = 100 << 20;
        let spans = [at(far, 10), at(0, 10), at(50, 10), at(5, 0), at(5, 20)];
        assert_eq!(
            runs(&spans),
            [
                Run {
                    bytes: 0..60,
                    spans: vec![1, 4, 2]
                },
                Run {
                    bytes: far..far + 10,
                    spans: vec![0]
                },
            ]
        );
    }
}
