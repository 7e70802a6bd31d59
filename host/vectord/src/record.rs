//! Records of the log and their encoding.
//!
//! A record is `magic u32, checksum u32, length u64, seq u64, durable u64`,
//! little-endian, and `length` bytes of payload. The checksum (CRC-32C)
//! covers all after it. `seq` counts writes without a gap; `durable` is the
//! last write that had been flushed before this record was written, which
//! tells damage to acknowledged data from a torn end.

use std::sync::Arc;

use bytes::{Buf, BufMut};

const HEADER: usize = 32;
const MAGIC: u32 = 0x4c48_5652;
const PUT: u8 = 1;
const DELETE: u8 = 2;
/// Length that stands for metadata that are absent.
const ABSENT: u32 = u32::MAX;

/// A write to an index, complete in itself: metadata that were to be kept are
/// in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    Put(Vec<Put>),
    Delete(Vec<Arc<str>>),
}

/// One row of a [`Write::Put`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Put {
    pub id: Arc<str>,
    pub vector: Vec<f32>,
    pub metadata: Option<Arc<str>>,
    /// Whether it is known that there is no such item before; the log does not say.
    pub is_new: bool,
}

/// What stands at a place in the log.
#[derive(Debug)]
pub(crate) enum Found {
    /// A sound record and its length in bytes.
    Record {
        seq: u64,
        durable: u64,
        write: Write,
        length: usize,
    },
    /// None, or a broken one.
    Broken(&'static str),
}

/// Appends a record.
pub(crate) fn encode(out: &mut Vec<u8>, seq: u64, durable: u64, write: &Write) {
    let start = out.len();
    out.put_u32_le(MAGIC);
    out.put_u32_le(0);
    out.put_u64_le(0);
    out.put_u64_le(seq);
    out.put_u64_le(durable);
    match write {
        Write::Put(puts) => {
            out.put_u8(PUT);
            out.put_u32_le(puts.len() as u32);
            for put in puts {
                out.put_u32_le(put.id.len() as u32);
                out.put_slice(put.id.as_bytes());
                out.put_u32_le(put.metadata.as_ref().map_or(ABSENT, |m| m.len() as u32));
                out.put_slice(put.metadata.as_deref().unwrap_or_default().as_bytes());
                // Little-endian, as on every processor that this is built for.
                out.put_slice(bytemuck::cast_slice(&put.vector));
            }
        }
        Write::Delete(ids) => {
            out.put_u8(DELETE);
            out.put_u32_le(ids.len() as u32);
            for id in ids {
                out.put_u32_le(id.len() as u32);
                out.put_slice(id.as_bytes());
            }
        }
    }
    let length = (out.len() - start - HEADER) as u64;
    out[start + 8..start + 16].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the record that `bytes` begin with.
pub(crate) fn decode(bytes: &[u8], dimension: usize) -> Found {
    let mut input = bytes;
    if input.len() < HEADER {
        return Found::Broken("its header is cut off");
    }
    if input.get_u32_le() != MAGIC {
        return Found::Broken("it does not begin as a record does");
    }
    let crc = input.get_u32_le();
    let length = HEADER.saturating_add(input.get_u64_le() as usize);
    if bytes.len() < length {
        return Found::Broken("it is cut off");
    }
    if crc32c::crc32c(&bytes[8..length]) != crc {
        return Found::Broken("its checksum does not match");
    }
    let seq = input.get_u64_le();
    let durable = input.get_u64_le();
    match payload(&bytes[HEADER..length], dimension) {
        Some(write) => Found::Record {
            seq,
            durable,
            write,
            length,
        },
        None => Found::Broken("its content makes no sense"),
    }
}

fn payload(mut input: &[u8], dimension: usize) -> Option<Write> {
    let input = &mut input;
    let kind = input.try_get_u8().ok()?;
    let count = input.try_get_u32_le().ok()?;
    let write = match kind {
        PUT => Write::Put(
            (0..count)
                .map(|_| put(input, dimension))
                .collect::<Option<_>>()?,
        ),
        DELETE => Write::Delete((0..count).map(|_| text(input)?).collect::<Option<_>>()?),
        _ => return None,
    };
    input.is_empty().then_some(write)
}

fn put(input: &mut &[u8], dimension: usize) -> Option<Put> {
    let id = text(input)??;
    let metadata = text(input)?;
    let (words, _) = input.split_off(..dimension * 4)?.as_chunks::<4>();
    let vector = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    Some(Put {
        id,
        vector,
        metadata,
        is_new: false,
    })
}

/// A text, or that it is absent.
fn text(input: &mut &[u8]) -> Option<Option<Arc<str>>> {
    let length = input.try_get_u32_le().ok()?;
    if length == ABSENT {
        return Some(None);
    }
    let bytes = input.split_off(..length as usize)?;
    Some(Some(std::str::from_utf8(bytes).ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIMENSION: usize = 3;

    fn sample() -> Write {
        let put = |id: &str, metadata: Option<&str>| Put {
            id: id.into(),
            vector: vec![1.0, -2.5, 3.0e8],
            metadata: metadata.map(Into::into),
            is_new: false,
        };
        Write::Put(vec![put("a", Some("{\"é\":1}")), put("b", None)])
    }

    #[test]
    fn records_come_back() {
        for write in [sample(), Write::Delete(vec!["a".into(), "ü".into()])] {
            let mut bytes = Vec::new();
            encode(&mut bytes, 7, 6, &write);
            let whole = bytes.len();
            bytes.extend([1, 2, 3]);
            match decode(&bytes, DIMENSION) {
                Found::Record {
                    seq,
                    durable,
                    write: found,
                    length,
                } => assert_eq!((seq, durable, found, length), (7, 6, write, whole)),
                Found::Broken(why) => panic!("{why}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_change_goes_unseen(at in 0_usize..100, bit in 0_u8..8, cut in 0_usize..100) {
            let mut bytes = Vec::new();
            encode(&mut bytes, 7, 6, &sample());
            let cut = cut.min(bytes.len() - 1);
            prop_assert!(matches!(decode(&bytes[..cut], DIMENSION), Found::Broken(_)));
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(decode(&bytes, DIMENSION), Found::Broken(_)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = payload(&bytes, DIMENSION);
            let _ = decode(&bytes, DIMENSION);
        }
    }
}
