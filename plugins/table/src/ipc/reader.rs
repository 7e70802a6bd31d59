//! A stream as batches.
//!
//! Messages are framed here and checked before Arrow decodes them.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{Message, MessageHeader, root_as_message};

use super::batch::{self, MAX_BYTES};
use super::fault::{IpcFault, broken};
use super::schema;

/// Word before the length of a message.
const CONTINUATION: u32 = 0xFFFF_FFFF;
/// Bytes of the largest message header.
const MAX_HEADER: u64 = 64 << 20;

/// A message's header and body.
type Framed = (Vec<u8>, Buffer);

/// Reads an Arrow IPC stream that may say anything, in memory of the size of its
/// largest batch.
#[derive(Debug)]
pub struct Reader<R> {
    reader: R,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the schema.
    ///
    /// # Errors
    /// If there is none, or it is not one.
    pub fn open(mut reader: R) -> Result<Self, IpcFault> {
        let Some((header, _)) = frame(&mut reader)? else {
            return Err(IpcFault::new("the Arrow stream has no schema"));
        };
        let schema = message(&header)?
            .header_as_schema()
            .ok_or_else(|| IpcFault::new("the Arrow stream does not begin with a schema"))?;
        schema::check(&schema)?;
        let schema = fb_to_schema(schema);
        Ok(Self {
            reader,
            schema: Arc::new(schema),
            dictionaries: HashMap::new(),
            ended: false,
        })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What follows the stream, once it is at its end.
    pub fn rest(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// Bytes that cannot be read, and messages that are not what they say.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, IpcFault> {
        while !self.ended {
            let Some((header, body)) = frame(&mut self.reader)? else {
                self.ended = true;
                break;
            };
            match message(&header)?.header_type() {
                MessageHeader::RecordBatch => return self.batch(&header, &body).map(Some),
                MessageHeader::DictionaryBatch => self.dictionary(&header, &body)?,
                MessageHeader::NONE => {}
                other => return Err(broken(&format!("a message of type {other:?}"))),
            }
        }
        Ok(None)
    }

    fn dictionary(&mut self, header: &[u8], body: &Buffer) -> Result<(), IpcFault> {
        let message = message(header)?;
        let Some(batch) = message.header_as_dictionary_batch() else {
            return Err(broken("a dictionary message holds none"));
        };
        let Some(values) = batch.data() else {
            return Err(broken("a dictionary without values"));
        };
        let column = self
            .dictionary_values(batch.id())
            .ok_or_else(|| broken("a dictionary that no column uses"))?;
        batch::check(values, body, [&column])?;
        let version = message.version();
        Ok(read_dictionary(
            body,
            batch,
            &self.schema,
            &mut self.dictionaries,
            &version,
        )?)
    }

    /// The values of a dictionary, as a column.
    fn dictionary_values(&self, id: i64) -> Option<Field> {
        #[expect(deprecated, reason = "the ids of dictionaries live nowhere else")]
        let column = self.schema.fields_with_dict_id(id).first().copied();
        match column?.data_type() {
            DataType::Dictionary(_, values) => Some(Field::new("values", (**values).clone(), true)),
            _ => None,
        }
    }

    fn batch(&self, header: &[u8], body: &Buffer) -> Result<RecordBatch, IpcFault> {
        let message = message(header)?;
        let Some(batch) = message.header_as_record_batch() else {
            return Err(broken("a batch message holds none"));
        };
        let columns = self.schema.fields().iter().map(AsRef::as_ref);
        batch::check(batch, body, columns)?;
        let (schema, version) = (Arc::clone(&self.schema), message.version());
        Ok(read_record_batch(
            body,
            batch,
            schema,
            &self.dictionaries,
            None,
            &version,
        )?)
    }
}

/// The next message; none at the end of the stream, with or without its mark.
fn frame(reader: &mut impl Read) -> Result<Option<Framed>, IpcFault> {
    let mut word = [0; 4];
    match read_up_to(reader, &mut word)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(cut()),
    }
    // Before version 0.15 of the format the length stood alone.
    if u32::from_le_bytes(word) == CONTINUATION && read_up_to(reader, &mut word)? != 4 {
        return Err(cut());
    }
    let length = u64::from(u32::from_le_bytes(word));
    if length == 0 {
        return Ok(None);
    }
    if length > MAX_HEADER {
        return Err(broken(&format!("a message header of {length} bytes")));
    }
    let header = exactly(reader, length)?;
    let length = u64::try_from(message(&header)?.bodyLength())
        .map_err(|_| broken("a message body of negative length"))?;
    if length > MAX_BYTES {
        return Err(broken(&format!(
            "a message body of {length} bytes; send batches of at most {MAX_BYTES}"
        )));
    }
    let body = exactly(reader, length)?;
    Ok(Some((header, Buffer::from_vec(body))))
}

fn message(header: &[u8]) -> Result<Message<'_>, IpcFault> {
    root_as_message(header).map_err(|error| broken(&format!("a message header: {error}")))
}

/// Reads `length` bytes; room is made as they come, not as they are promised.
fn exactly(reader: &mut impl Read, length: u64) -> Result<Vec<u8>, IpcFault> {
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        Err(cut())
    } else {
        Ok(bytes)
    }
}

/// Fills `buffer` as far as the reader goes.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, IpcFault> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

fn cut() -> IpcFault {
    IpcFault::new("the Arrow stream ends in the middle of a message")
}
