//! Arrow IPC, stream or file. A file is a stream between two magic words and a
//! footer, so both are read front to back.
//!
//! Messages are framed here and checked before Arrow decodes them: Arrow's own
//! reader trusts the lengths that a message declares.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{Message, MessageHeader, root_as_message};

use crate::arrow_batch::{self, MAX_BYTES, broken};
use crate::arrow_schema;
use crate::body::tail;
use crate::fault::Fault;
use crate::source::{Reader, Source};

/// First bytes of the file format, padded to eight.
const MAGIC: &[u8; 8] = b"ARROW1\0\0";
/// Last bytes of the file format.
const END_MAGIC: &[u8] = b"ARROW1";
/// Word before the length of a message.
const CONTINUATION: u32 = 0xFFFF_FFFF;
/// Bytes of the largest message header.
const MAX_HEADER: u64 = 64 << 20;

/// An Arrow body as batches.
pub(crate) struct ArrowSource {
    reader: Reader,
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Whether it is a file, and so has an end that must be there.
    file: bool,
    ended: bool,
}

/// A message's header and body.
type Framed = (Vec<u8>, Buffer);

impl ArrowSource {
    pub(crate) fn open(mut reader: Reader) -> Result<Self, Fault> {
        let mut start = [0; 8];
        let length = read_up_to(&mut reader, &mut start)?;
        if length == 0 {
            return Err(Fault::data("the body is empty"));
        }
        let file = &start == MAGIC;
        if !file {
            reader = Box::new(std::io::Cursor::new(start[..length].to_vec()).chain(reader));
        }
        let Some((header, _)) = frame(&mut reader)? else {
            return Err(Fault::data("the Arrow stream has no schema"));
        };
        let schema = message(&header)?
            .header_as_schema()
            .ok_or_else(|| Fault::data("the Arrow stream does not begin with a schema"))?;
        arrow_schema::check(&schema)?;
        let schema = fb_to_schema(schema);
        Ok(Self {
            reader,
            schema: Arc::new(schema),
            dictionaries: HashMap::new(),
            file,
            ended: false,
        })
    }

    fn dictionary(&mut self, header: &[u8], body: &Buffer) -> Result<(), Fault> {
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
        arrow_batch::check(values, body, [&column])?;
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

    fn batch(&self, header: &[u8], body: &Buffer) -> Result<RecordBatch, Fault> {
        let message = message(header)?;
        let Some(batch) = message.header_as_record_batch() else {
            return Err(broken("a batch message holds none"));
        };
        let columns = self.schema.fields().iter().map(AsRef::as_ref);
        arrow_batch::check(batch, body, columns)?;
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

impl Source for ArrowSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn typed(&self) -> bool {
        true
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        while !self.ended {
            let Some((header, body)) = frame(&mut self.reader)? else {
                self.ended = true;
                if tail(&mut self.reader)? != END_MAGIC && self.file {
                    return Err(Fault::data(
                        "the Arrow file is cut: its footer is not whole",
                    ));
                }
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
}

/// The next message; none at the end of the stream, with or without its mark.
fn frame(reader: &mut Reader) -> Result<Option<Framed>, Fault> {
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

fn message(header: &[u8]) -> Result<Message<'_>, Fault> {
    root_as_message(header).map_err(|error| broken(&format!("a message header: {error}")))
}

/// Reads `length` bytes; room is made as they come, not as they are promised.
fn exactly(reader: &mut Reader, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        Err(cut())
    } else {
        Ok(bytes)
    }
}

/// Fills `buffer` as far as the reader goes.
fn read_up_to(reader: &mut Reader, buffer: &mut [u8]) -> Result<usize, Fault> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

fn cut() -> Fault {
    Fault::data("the Arrow stream ends in the middle of a message")
}
