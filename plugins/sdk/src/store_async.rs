//! Reads of the [`store`](crate::store) that run side by side, under
//! [`runtime::block_on`](crate::runtime::block_on).

use crate::runtime::wait;
use crate::store::{ByteRange, start_read};
use crate::types::Error;

/// As [`store::get_ranges`](crate::store::get_ranges), without blocking the
/// other tasks. Dropping the future cancels the read.
///
/// # Errors
/// Those of the read: no such object, a range beyond its end, no grant.
pub async fn get_ranges(key: &str, ranges: &[ByteRange]) -> Result<Vec<Vec<u8>>, Error> {
    let read = start_read(key, ranges);
    wait(read.subscribe()).await;
    read.finish()
}

/// The one range of [`get_ranges`].
///
/// # Errors
/// As [`get_ranges`].
pub async fn get_range(key: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
    let mut parts = get_ranges(key, &[ByteRange { offset, length }]).await?;
    parts
        .pop()
        .ok_or_else(|| Error::Internal(format!("the read of `{key}` brought nothing")))
}
