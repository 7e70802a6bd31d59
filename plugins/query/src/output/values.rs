//! Single values as JSON, and types that every reader knows.
//!
//! Where Arrow's own JSON encoder would lose something, this one does not:
//! decimals become strings with all their digits, and the floats that JSON has
//! no number for become `"NaN"`, `"Infinity"` and `"-Infinity"`. Bytes are
//! strings of hexadecimal digits.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::nested;

/// Options for Arrow's JSON encoders that make values as described above.
pub fn options() -> &'static EncoderOptions {
    static OPTIONS: OnceLock<EncoderOptions> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        EncoderOptions::default()
            .with_explicit_nulls(true)
            .with_encoder_factory(Arc::new(Exact))
    })
}

#[derive(Debug)]
struct Exact;

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => {
                static FORMAT: OnceLock<FormatOptions<'static>> = OnceLock::new();
                let format = FORMAT.get_or_init(FormatOptions::new);
                Box::new(Quoted(ArrayFormatter::try_new(array, format)?))
            }
            DataType::Float32 => Box::new(Float(array.as_primitive::<Float32Type>())),
            DataType::Float64 => Box::new(Float(array.as_primitive::<Float64Type>())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Digits between quotation marks.
struct Quoted<'a>(ArrayFormatter<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _: std::io::Result<()> = write!(out, "\"{}\"", self.0.value(idx));
    }
}

struct Float<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

trait ToJson: Copy {
    fn write(self, out: &mut Vec<u8>) -> serde_json::Result<()>;
    fn widened(self) -> f64;
}

impl ToJson for f64 {
    fn write(self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(out, &self)
    }

    fn widened(self) -> f64 {
        self
    }
}

impl ToJson for f32 {
    fn write(self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        // Not widened: 0.1 stays 0.1.
        serde_json::to_writer(out, &self)
    }

    fn widened(self) -> f64 {
        f64::from(self)
    }
}

impl<T> Encoder for Float<'_, T>
where
    T: ArrowPrimitiveType,
    T::Native: ToJson,
{
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        let value = self.0.value(idx);
        let wide = value.widened();
        if wide.is_finite() {
            // A finite number always has a text, and memory takes it.
            let _: serde_json::Result<()> = value.write(out);
        } else if wide.is_nan() {
            out.extend_from_slice(b"\"NaN\"");
        } else if wide > 0.0 {
            out.extend_from_slice(b"\"Infinity\"");
        } else {
            out.extend_from_slice(b"\"-Infinity\"");
        }
    }
}

/// A schema without the view types, which are the engine's own affair and which
/// many readers do not know.
#[must_use]
pub fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    if fields == schema.fields().to_vec() {
        return Arc::clone(schema);
    }
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch under its [`plain_schema`].
///
/// # Errors
/// More than 2 GiB of text in one batch and column.
pub fn plain_batch(batch: &RecordBatch, plain: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(plain.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type())
            }
        })
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(plain), columns, &options)
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = plain_type(field.data_type());
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// A type without views, at any depth.
#[must_use]
pub fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => nested::with_fields(other, plain_field),
    }
}
