//! The messages of an Arrow IPC stream, looked over before any is decoded.
//!
//! Arrow's decoder takes a stream that ends between two messages for whole,
//! passes over the byte order and panics where lengths are not true. After
//! [`check`] it gets none of these.

use arrow_ipc::{Endianness, MessageHeader, RecordBatch, root_as_message};

/// What may stand before a message's length.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Refuses a stream that is cut, lies about its lengths, or has dictionaries,
/// compressed buffers or big-endian numbers; says which message does.
pub fn check(stream: &[u8]) -> Result<(), String> {
    let mut rest = stream;
    for number in 0.. {
        if rest.is_empty() {
            return Err("it ends without an end mark, so it may be cut".into());
        }
        let (length, behind) = length(rest).ok_or_else(|| cut(number))?;
        if length == 0 {
            return match behind {
                [] => Ok(()),
                _ => Err("more bytes follow its end mark".into()),
            };
        }
        let split = behind.split_at_checked(length);
        let (metadata, behind) = split.ok_or_else(|| cut(number))?;
        let message = root_as_message(metadata)
            .map_err(|error| format!("message {number} is no Arrow message: {error}"))?;
        let length = usize::try_from(message.bodyLength())
            .map_err(|_| format!("message {number} has a body of negative length"))?;
        let split = behind.split_at_checked(length);
        let (_, behind) = split.ok_or_else(|| cut(number))?;
        match message.header_type() {
            MessageHeader::Schema => {
                let schema = message.header_as_schema();
                if schema.is_some_and(|schema| schema.endianness() == Endianness::Big) {
                    return Err("its numbers are big-endian; only little-endian is read".into());
                }
            }
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch();
                batch.map_or(Ok(()), |batch| buffers(number, &batch, length))?;
            }
            MessageHeader::DictionaryBatch => {
                return Err(format!(
                    "message {number} is a dictionary; columns must hold their values themselves"
                ));
            }
            other => return Err(format!("message {number} is {other:?}, not record batches")),
        }
        rest = behind;
    }
    Ok(())
}

fn cut(number: usize) -> String {
    format!("it is cut, or its lengths are not true: message {number} ends behind its end")
}

/// The length of the next message's metadata, and what follows it.
fn length(stream: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = stream.split_first_chunk::<4>()?;
    let (word, rest) = match *word == CONTINUATION {
        true => rest.split_first_chunk::<4>()?,
        false => (word, rest),
    };
    let length = usize::try_from(u32::from_le_bytes(*word)).ok()?;
    Some((length, rest))
}

/// Refuses buffers that are compressed or lie outside of the message's body.
fn buffers(number: usize, batch: &RecordBatch<'_>, length: usize) -> Result<(), String> {
    if batch.compression().is_some() {
        return Err(format!(
            "message {number} is compressed; send it without compression"
        ));
    }
    let lies = |buffer: &arrow_ipc::Buffer| {
        let (start, size) = (buffer.offset(), buffer.length());
        let end = start.checked_add(size).and_then(|end| end.try_into().ok());
        start < 0 || size < 0 || end.is_none_or(|end: usize| end > length)
    };
    let mut buffers = batch.buffers().into_iter().flatten();
    match buffers.position(lies) {
        Some(place) => Err(format!(
            "message {number}: buffer {place} lies outside of the message's body"
        )),
        None => Ok(()),
    }
}
