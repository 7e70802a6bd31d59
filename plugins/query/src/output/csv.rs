//! `text/csv` by RFC 4180: a line of names, then a line a row. A null is an
//! empty field; lists, maps and structs are JSON in a field.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::csv::{Writer, WriterBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::error::Result;
use lakehouse_sdk::http::BodyWriter;

use super::Encoder;
use super::json::{encode, encoders};

/// The format.
pub struct Table<'a> {
    writer: Writer<&'a mut BodyWriter>,
    schema: SchemaRef,
}

impl<'a> Table<'a> {
    pub fn start(schema: &SchemaRef, body: &'a mut BodyWriter) -> Result<Self> {
        let fields: Vec<FieldRef> = schema
            .fields()
            .iter()
            .map(|field| match field.data_type().is_nested() {
                true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
                false => Arc::clone(field),
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let mut writer = WriterBuilder::new().with_header(true).build(body);
        if !schema.fields().is_empty() {
            // The names come with the first batch: an empty one, lest a result
            // without rows has none.
            writer.write(&RecordBatch::new_empty(Arc::clone(&schema)))?;
        }
        Ok(Self { writer, schema })
    }
}

impl Encoder for Table<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.schema_ref() == &self.schema {
            return Ok(self.writer.write(batch)?);
        }
        let mut json = encoders(batch)?;
        let columns: Vec<ArrayRef> = batch
            .columns()
            .iter()
            .zip(&mut json)
            .map(|(column, encoder)| {
                if !column.data_type().is_nested() {
                    return Arc::clone(column);
                }
                let mut texts = StringBuilder::new();
                let mut text = Vec::new();
                for row in 0..batch.num_rows() {
                    if encoder.is_null(row) {
                        texts.append_null();
                        continue;
                    }
                    text.clear();
                    encode(encoder, row, &mut text);
                    texts.append_value(String::from_utf8_lossy(&text));
                }
                Arc::new(texts.finish())
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(self.writer.write(&batch)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
