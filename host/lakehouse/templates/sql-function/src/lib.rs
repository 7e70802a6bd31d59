//! `{{function}}(text)` in SQL: how many words a text has.

use std::sync::Arc;

use lakehouse_sdk::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use lakehouse_sdk::arrow::datatypes::DataType;
use lakehouse_sdk::sql::{Error, Function, Functions};

struct Plugin;

impl Functions for Plugin {
    fn functions() -> Vec<Function> {
        let arguments = [DataType::Utf8];
        let function = Function::scalar("{{function}}", arguments, DataType::Int64, words);
        vec![function]
    }
}

/// A value for each row, null for null.
fn words(rows: &RecordBatch) -> Result<ArrayRef, Error> {
    let texts = rows.column(0).as_string::<i32>().iter();
    let counts = texts.map(|text| Some(text?.split_whitespace().count() as i64));
    Ok(Arc::new(counts.collect::<Int64Array>()))
}

lakehouse_sdk::export_functions!(Plugin);

#[cfg(test)]
mod tests {
    use lakehouse_sdk::arrow::array::StringArray;

    use super::*;

    #[test]
    fn words_are_counted() {
        let texts = StringArray::from(vec![Some("to be or not"), Some(""), None]);
        let texts: ArrayRef = Arc::new(texts);
        let rows = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(4), Some(0), None]));
        assert_eq!(&words(&rows).unwrap(), &expected);
    }
}
