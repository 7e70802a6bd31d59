//! Arrow IPC streams: items and queries in, hits out.
//!
//! Items have the columns `id` (text), `vector` (fixed-size list of 32-bit
//! floats) and, if they like, `metadata` (JSON objects as text). Queries have
//! `vector` alone. Hits have `query` and `rank`, both from 0, `id`,
//! `distance`, and `metadata` and `vector` as far as they are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use axum::body::Bytes;
use axum::http::StatusCode;
use lakehouse_vectord::{Hit, Item};

use super::answer::{Failure, Shown};
use super::frames;

/// What texts that lie in a stream once and are referred to many times may
/// add to its own size, in bytes.
const MAX_REPEATED: usize = 64 << 20;

/// The media type of such a stream.
pub const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

fn bad(detail: impl std::fmt::Display) -> Failure {
    let detail = format!("the Arrow stream: {detail}");
    Failure::new(StatusCode::BAD_REQUEST, detail)
}

/// A stream, all of which was read.
struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The stream's size.
    bytes: usize,
}

impl Table {
    fn read(body: Bytes) -> Result<Self, Failure> {
        let bytes = body.len();
        frames::check(&body).map_err(bad)?;
        let decode = || {
            let mut rest = Buffer::from(body);
            let mut decoder = StreamDecoder::new();
            let mut batches = Vec::new();
            while !rest.is_empty() {
                batches.extend(decoder.decode(&mut rest)?);
            }
            decoder.finish()?;
            Ok::<_, ArrowError>((decoder.schema(), batches))
        };
        // Arrow's decoder may panic where the parts of a batch do not fit together.
        let decoded = catch_unwind(AssertUnwindSafe(decode))
            .map_err(|_| bad("the parts of a batch do not fit together"))?;
        let (schema, batches) = decoded.map_err(bad)?;
        let schema = schema.ok_or_else(|| bad("it has no schema"))?;
        // A row has at least four bytes, of an offset or of a component.
        let rows = batches.iter().map(RecordBatch::num_rows);
        if rows.fold(0, usize::saturating_add) > bytes / 4 {
            return Err(bad("it says that it has more rows than fit into it"));
        }
        Ok(Self {
            schema,
            batches,
            bytes,
        })
    }

    /// Refuses columns that nobody reads.
    fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let mut fields = self.schema.fields().iter();
        match fields.find(|field| !known.contains(&field.name().as_str())) {
            Some(field) => Err(bad(format_args!(
                "column {:?} is not one of {}",
                field.name(),
                known.join(", ")
            ))),
            None => Ok(()),
        }
    }

    /// The place of a column.
    fn place(&self, name: &str) -> Option<usize> {
        let mut fields = self.schema.fields().iter();
        fields.position(|field| field.name() == name)
    }

    fn required(&self, name: &str) -> Result<usize, Failure> {
        self.place(name)
            .ok_or_else(|| bad(format_args!("it has no column {name:?}")))
    }

    /// Each row's vector.
    fn vectors(&self) -> Result<Vec<Vec<f32>>, Failure> {
        let place = self.required("vector")?;
        let field = self.schema.field(place);
        let size = match field.data_type() {
            DataType::FixedSizeList(item, size) if *item.data_type() == DataType::Float32 => *size,
            other => {
                return Err(bad(format_args!(
                    "column \"vector\" is {other}, not a fixed-size list of 32-bit floats"
                )));
            }
        };
        let size = usize::try_from(size).unwrap_or(0);
        if size == 0 {
            return Err(bad("the vectors have no components"));
        }
        let mut vectors = Vec::new();
        for batch in &self.batches {
            let list = batch.column(place).as_fixed_size_list();
            let values = list.values().as_primitive::<Float32Type>();
            for row in 0..list.len() {
                let start = row * size;
                let number = vectors.len();
                if list.is_null(row) {
                    return Err(bad(format_args!("row {number} has no vector")));
                }
                if values.null_count() > 0
                    && let Some(at) = (0..size).find(|at| values.is_null(start + at))
                {
                    return Err(bad(format_args!(
                        "row {number}: component {at} of the vector is null"
                    )));
                }
                vectors.push(values.values()[start..start + size].to_vec());
            }
        }
        Ok(vectors)
    }

    /// Each row's text in a column.
    fn texts(&self, place: usize) -> Result<Vec<Option<String>>, Failure> {
        let field = self.schema.field(place);
        let (mut texts, mut long) = (Vec::new(), 0);
        for batch in &self.batches {
            let column = batch.column(place);
            let owned = |text: Option<&str>| text.map(str::to_owned);
            match field.data_type() {
                DataType::Utf8 => texts.extend(column.as_string::<i32>().iter().map(owned)),
                DataType::LargeUtf8 => texts.extend(column.as_string::<i64>().iter().map(owned)),
                DataType::Utf8View => {
                    let views = column.as_string_view();
                    long += views.iter().flatten().map(str::len).sum::<usize>();
                    if long > self.bytes + MAX_REPEATED {
                        return Err(bad(format_args!(
                            "the texts of column {:?} are far longer than the stream",
                            field.name()
                        )));
                    }
                    texts.extend(views.iter().map(owned));
                }
                other => {
                    return Err(bad(format_args!(
                        "column {:?} is {other}, not text",
                        field.name()
                    )));
                }
            }
        }
        Ok(texts)
    }
}

/// Reads items.
pub fn items(body: Bytes) -> Result<Vec<Item>, Failure> {
    let table = Table::read(body)?;
    table.only(&["id", "vector", "metadata"])?;
    let ids = table.texts(table.required("id")?)?;
    let vectors = table.vectors()?;
    let metadata = match table.place("metadata") {
        Some(place) => table.texts(place)?,
        None => vec![None; ids.len()],
    };
    let rows = ids.into_iter().zip(vectors).zip(metadata).enumerate();
    let item = |(row, ((id, vector), metadata)): (usize, ((Option<String>, _), _))| {
        let id = id.ok_or_else(|| bad(format_args!("row {row} has no id")))?;
        Ok(Item {
            id,
            vector,
            metadata,
        })
    };
    rows.map(item).collect()
}

/// Reads queries.
pub fn queries(body: Bytes) -> Result<Vec<Vec<f32>>, Failure> {
    let table = Table::read(body)?;
    table.only(&["vector"])?;
    table.vectors()
}

/// Writes the hits of each query; `dimension` is that of their vectors.
pub fn hits(found: &[Vec<Hit>], shown: Shown, dimension: usize) -> Result<Vec<u8>, Failure> {
    write(found, shown, dimension).map_err(|error| Failure::internal(error.to_string()))
}

fn write(found: &[Vec<Hit>], shown: Shown, dimension: usize) -> Result<Vec<u8>, ArrowError> {
    let hits: Vec<&Hit> = found.iter().flatten().collect();
    let (mut query, mut rank) = (Vec::new(), Vec::new());
    for (number, hits) in (0_u32..).zip(found) {
        query.extend(std::iter::repeat_n(number, hits.len()));
        rank.extend((0_u32..).take(hits.len()));
    }
    let ids = StringArray::from_iter_values(hits.iter().map(|hit| &*hit.id));
    let distances = Float32Array::from_iter_values(hits.iter().map(|hit| hit.distance));
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("query", DataType::UInt32, false),
            Arc::new(UInt32Array::from(query)),
        ),
        (
            Field::new("rank", DataType::UInt32, false),
            Arc::new(UInt32Array::from(rank)),
        ),
        (Field::new("id", DataType::Utf8, false), Arc::new(ids)),
        (
            Field::new("distance", DataType::Float32, false),
            Arc::new(distances),
        ),
    ];
    if shown.metadata {
        let metadata: StringArray = hits.iter().map(|hit| hit.metadata.as_deref()).collect();
        let field = Field::new("metadata", DataType::Utf8, true);
        columns.push((field, Arc::new(metadata)));
    }
    if shown.vector {
        let components = hits.iter().flat_map(|hit| hit.vector.iter().flatten());
        let components: Vec<f32> = components.copied().collect();
        let components = Arc::new(Float32Array::from(components));
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        // Dimensions are bounded far below this.
        let size = i32::try_from(dimension).unwrap_or(i32::MAX);
        let vectors = FixedSizeListArray::try_new(item, size, components, None)?;
        let field = Field::new("vector", vectors.data_type().clone(), false);
        columns.push((field, Arc::new(vectors)));
    }
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    writer.finish()?;
    writer.into_inner()
}
