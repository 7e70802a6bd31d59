//! Bodies in, batches or faults out.

use std::io::{self, Read};

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};
use arrow::util::display::array_value_to_string;

use super::*;

/// Hands out a few bytes at a time, so that every record is cut somewhere.
struct Trickle(Vec<u8>, usize, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.2).min(self.0.len() - self.1);
        buffer[..length].copy_from_slice(&self.0[self.1..self.1 + length]);
        self.1 += length;
        Ok(length)
    }
}

fn load_with(
    text: &[u8],
    step: usize,
    options: &CsvOptions,
    table: Option<&Schema>,
) -> Result<RecordBatch, Fault> {
    let reader = Box::new(Trickle(text.to_vec(), 0, step));
    let mut source = CsvSource::open(reader, options.clone(), table)?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next()? {
        batches.push(batch);
    }
    Ok(concat_batches(source.schema(), &batches)?)
}

/// The same however the body is cut.
fn load(text: &[u8]) -> Result<RecordBatch, Fault> {
    let options = CsvOptions::default();
    let whole = load_with(text, usize::MAX, &options, None);
    for step in [1, 2, 3, 7] {
        let cut = load_with(text, step, &options, None);
        assert_eq!(
            format!("{whole:?}"),
            format!("{cut:?}"),
            "in steps of {step}"
        );
    }
    whole
}

/// Every value as text, row by row.
fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    let row = |row| {
        let columns = batch.columns().iter();
        columns
            .map(|column| array_value_to_string(column, row).unwrap())
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn place(text: &[u8]) -> (Place, String) {
    match load(text) {
        Err(Fault::Data(place, detail)) => (place, detail),
        other => panic!("{other:?}"),
    }
}

fn types(batch: &RecordBatch) -> Vec<String> {
    batch
        .schema_ref()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect()
}

#[test]
fn types_are_inferred_from_the_values() {
    let batch = load(
        b"i,f,b,d,t,s,n,big\n\
          1,1.5,true,2024-02-29,2024-02-29 12:00:00,x,,99999999999999999999\n\
          -2,2,FALSE,1970-01-01,2024-02-29T12:00:00.123456Z,2024-13-01,,1\n",
    )
    .unwrap();
    let time = "Timestamp(µs)";
    assert_eq!(
        types(&batch),
        [
            "Int64", "Float64", "Boolean", "Date32", time, "Utf8", "Utf8", "Utf8"
        ]
    );
    assert_eq!(
        batch.column(1).as_primitive::<Float64Type>().values(),
        &[1.5, 2.0]
    );
    assert_eq!(batch.column(6).null_count(), 2);
}

#[test]
fn dates_and_times_mix_to_times_and_numbers_to_floats() {
    let batch = load(b"t,f\n2024-01-01,1\n2024-01-01 10:00:00,1e3\n").unwrap();
    assert_eq!(types(&batch), ["Timestamp(µs)", "Float64"]);
}

#[test]
fn every_kind_of_line_end_and_a_byte_order_mark_are_taken() {
    let plain = load(b"a,b\n1,x\n2,y\n3,z\n").unwrap();
    for text in [
        &b"\xEF\xBB\xBFa,b\n1,x\r\n2,y\n3,z"[..],
        b"a,b\r\n1,x\r2,y\n\n3,z\r\n\r\n",
        b"a,b\r1,x\r2,y\r3,z\r",
        b"\"a\",\"b\"\n\"1\",\"x\"\n2,\"y\"\n3,z\n",
    ] {
        assert_eq!(load(text).unwrap(), plain, "{text:?}");
    }
}

#[test]
fn quotes_hold_delimiters_line_ends_and_quotes() {
    let batch = load(b"a,b\n\"x,1\",\"l1\nl2\"\n\"say \"\"hi\"\"\",\n").unwrap();
    let a = batch.column(0).as_string::<i32>();
    assert_eq!((a.value(0), a.value(1)), ("x,1", "say \"hi\""));
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "l1\nl2");
    assert!(batch.column(1).is_null(1));
}

#[test]
fn a_ragged_row_is_told_with_its_line() {
    let (place, detail) = place(b"a,b\n\"1\n\n\",2\n\n3,4,5\n");
    assert_eq!((place.line, place.column), (Some(6), Some(3)), "{detail}");
    let (place, _) = super::tests::place(b"a,b\r\n1,2\r\n3\r\n");
    assert_eq!(place.line, Some(3));
    let (place, _) = super::tests::place(b"a,b\r1,2\r3\r");
    assert_eq!(place.line, Some(3));
}

#[test]
fn a_value_beyond_the_sample_that_does_not_fit_is_told() {
    let mut text = b"id,n\n".to_vec();
    for row in 0..150_000 {
        text.extend_from_slice(format!("{row},7\n").as_bytes());
    }
    text.extend_from_slice(b"x1,seven\n");
    let Err(Fault::Data(place, detail)) =
        load_with(&text, usize::MAX, &CsvOptions::default(), None)
    else {
        panic!("loaded");
    };
    assert_eq!(place, Place::line(150_002).column(1).name("id"), "{detail}");
    assert!(detail.contains("'x1' is not a 64-bit integer"), "{detail}");
}

#[test]
fn bytes_that_are_no_text_are_told() {
    assert_eq!(place(b"a,b\n1,2\n3,\xFF\n").0, Place::line(3).column(2));
    // Two halves of a character in two fields are not a character.
    assert_eq!(place(b"a,b\n\xC3,\xA9\n").0, Place::line(2).column(1));
    assert_eq!(place(b"a,b\n1,2\n3,\0\n").0.line, Some(3));
    assert!(load(b"\xFF\xFEa\0").is_err());
}

#[test]
fn headers_that_cannot_be_names_are_refused() {
    let (place, detail) = place(b"\na,b,a,b,c\n1,2,3,4,5\n");
    assert_eq!(place.line, Some(2));
    assert!(detail.contains("'a', 'b'"), "{detail}");
    let batch = load(b",x\n1,2\n").unwrap();
    assert_eq!(batch.schema_ref().field(0).name(), "column_1");
}

#[test]
fn nothing_is_not_a_table() {
    for text in [&b""[..], b"\n\r\n", b"\xEF\xBB\xBF"] {
        assert!(load(text).is_err(), "{text:?}");
    }
    let reader = Box::new(&b"a,b\n"[..]);
    let source = CsvSource::open(reader, CsvOptions::default(), None).unwrap();
    assert!(!source.typed());
}

#[test]
fn a_quote_that_is_never_closed_is_told() {
    assert_eq!(place(b"a,b\n1,2\n3,\"4\n5,6\n").0.line, Some(3));
}

#[test]
fn options_change_how_a_body_is_read() {
    let options = CsvOptions {
        header: false,
        delimiter: Some(b'|'),
        quote: Some(b'\''),
        nulls: vec!["NA".to_owned(), "-".to_owned()],
    };
    let batch = load_with(b"1|'a|b'|\nNA|-|x\n", 2, &options, None).unwrap();
    assert_eq!(batch.schema_ref().field(2).name(), "column_3");
    assert_eq!(shown(&batch), [["1", "a|b", ""], ["", "", "x"]]);
    let unquoted = CsvOptions {
        quote: None,
        ..CsvOptions::default()
    };
    let batch = load_with(b"a\n\"x\"\n", 2, &unquoted, None).unwrap();
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "\"x\"");
}

#[test]
fn the_tables_types_win_over_the_looks() {
    let table = Schema::new(vec![
        Field::new("code", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(10, 2), true),
    ]);
    let options = CsvOptions::default();
    let read = |text: &[u8]| load_with(text, 3, &options, Some(&table));
    let batch = read(b"price,code,extra\n12.3,007,1\n-0.10,1,2\n").unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<Decimal128Type>().values(),
        &[1230, -10]
    );
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "007");
    assert_eq!(
        batch.column(2).as_primitive::<Int64Type>().values(),
        &[1, 2]
    );
    assert!(read(b"price,code\n1.234,x\n").is_err());
    assert!(read(b"price,code\n1.230,x\n").is_ok());
    assert!(read(b"price,code\n123456789.00,x\n").is_err());
    let headless = CsvOptions {
        header: false,
        ..CsvOptions::default()
    };
    let batch = load_with(b"a,1\n", 3, &headless, Some(&table)).unwrap();
    assert_eq!(batch.schema_ref().field(0).name(), "code");
    assert!(matches!(
        load_with(b"a,1,2\n", 3, &headless, Some(&table)),
        Err(Fault::Misfit(_, _))
    ));
}
