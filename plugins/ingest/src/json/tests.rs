//! Bodies in, batches or faults out.

use std::io::{self, Read};

use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use super::*;

/// Hands out a few bytes at a time, so that every object is cut somewhere.
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
    text: &str,
    step: usize,
    layout: Layout,
    table: Option<&Schema>,
) -> Result<RecordBatch, Fault> {
    let reader = Box::new(Trickle(text.as_bytes().to_vec(), 0, step));
    let mut source = JsonSource::open(reader, layout, table)?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next()? {
        batches.push(batch);
    }
    Ok(concat_batches(source.schema(), &batches)?)
}

/// The same however the body is cut.
fn load(text: &str, layout: Layout) -> Result<RecordBatch, Fault> {
    let whole = load_with(text, usize::MAX, layout, None);
    for step in [1, 2, 5] {
        let cut = load_with(text, step, layout, None);
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

fn place(text: &str, layout: Layout) -> Place {
    match load(text, layout) {
        Err(Fault::Data(place, _)) => place,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn lines_documents_and_sequences_say_the_same() {
    let rows = load("{\"b\":1,\"a\":\"x}\"}\n\r\n{\"b\":2}\n", Layout::Lines).unwrap();
    assert_eq!(rows.schema_ref().field(0).name(), "b");
    assert_eq!(shown(&rows), [["1", "x}"], ["2", ""]]);
    for text in [
        "[{\"b\":1,\"a\":\"x}\"},{\"b\":2}]",
        "\u{FEFF} [ {\"b\":1,\n \"a\":\"x}\"}\n,\n{\"b\":2} ]\n",
        "{\"b\":1,\"a\":\"x}\"}{\"b\":2}",
        "{\"b\":1,\"a\":\"x}\"}\n{\"b\":\n2}\n",
    ] {
        assert_eq!(load(text, Layout::Document).unwrap(), rows, "{text}");
    }
}

#[test]
fn nested_values_become_structs_and_lists() {
    let rows = load(
        "{\"s\":{\"n\":1},\"l\":[1.5,2],\"e\":\"a\\\"}\"}\n",
        Layout::Lines,
    )
    .unwrap();
    let of = |at: usize| rows.schema_ref().field(at).data_type().clone();
    assert!(matches!(of(0), DataType::Struct(fields) if fields.len() == 1));
    assert!(matches!(of(1), DataType::List(item) if *item.data_type() == DataType::Float64));
}

#[test]
fn what_is_not_an_object_is_told_with_its_place() {
    use Layout::{Document, Lines};
    assert_eq!(place("{\"a\":1}\n5\n", Lines), Place::line(2).column(1));
    assert_eq!(place("{\"a\":1}\n  [1]\n", Lines), Place::line(2).column(3));
    assert_eq!(place("\"text\"", Document), Place::line(1).column(1));
    assert_eq!(
        place("[{\"a\":1},\n 2]", Document),
        Place::line(2).column(2)
    );
    assert_eq!(
        place("[{\"a\":1} {\"a\":1}]", Document),
        Place::line(1).column(10)
    );
    assert_eq!(place("[{\"a\":1}] x", Document), Place::line(1).column(11));
    assert_eq!(place("[{\"a\":1},]", Document), Place::line(1).column(10));
}

#[test]
fn broken_syntax_is_told_with_its_place() {
    use Layout::{Document, Lines};
    assert_eq!(
        place("{\"a\":1}\n{\"a\":}\n", Lines),
        Place::line(2).column(6)
    );
    assert_eq!(
        place("{\"a\":1}\n{\"a\":1\n{\"a\":1}\n", Lines).line,
        Some(2)
    );
    assert_eq!(
        place("{\"a\":1}{\"a\":1}\n", Lines),
        Place::line(1).column(8)
    );
    assert_eq!(place("[{\"a\":1},\n{\"a\": x}]", Document).line, Some(2));
    assert_eq!(place("[{\"a\":1}", Document).line, Some(1));
    assert_eq!(place("[{\"a\":1},\n\n{\"a\":", Document).line, Some(3));
}

#[test]
fn objects_that_disagree_are_told() {
    let place = place("{\"a\":1}\n{\"a\":2}\n{\"a\":{\"b\":1}}\n", Layout::Lines);
    assert_eq!(place.line, Some(3));
}

#[test]
fn a_column_that_comes_after_the_sample_is_told() {
    let mut text = "{\"a\":1}\n".repeat(100_001);
    text.push_str("{\"a\":1,\"late\":2}\n");
    let Err(Fault::Data(place, detail)) = load_with(&text, usize::MAX, Layout::Lines, None) else {
        panic!("loaded");
    };
    assert_eq!(place.line, Some(100_002), "{detail}");
    assert!(detail.contains("late"), "{detail}");
}

#[test]
fn the_tables_types_win_over_the_looks() {
    let table = Schema::new(vec![
        Field::new("d", DataType::Date32, true),
        Field::new("n", DataType::Decimal128(10, 2), true),
    ]);
    let read = |text: &str| load_with(text, 3, Layout::Lines, Some(&table));
    let rows = read("{\"n\":1.25,\"d\":\"2024-02-29\"}\n").unwrap();
    assert_eq!(
        rows.schema_ref().field(0).data_type(),
        &DataType::Decimal128(10, 2)
    );
    let Err(Fault::Data(place, _)) = read("{\"n\":1}\n{\"n\":1,\"d\":\"tomorrow\"}\n") else {
        panic!("loaded");
    };
    assert_eq!(place.line, Some(2));
}

#[test]
fn nothing_says_nothing_of_types() {
    for (text, layout) in [
        ("", Layout::Lines),
        ("\n\n", Layout::Lines),
        ("[]", Layout::Document),
    ] {
        let reader = Box::new(Trickle(text.as_bytes().to_vec(), 0, 9));
        let table = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let source = JsonSource::open(reader, layout, Some(&table)).unwrap();
        assert!(!source.typed(), "{text:?}");
        assert_eq!(**source.schema(), table);
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let text = format!(
        "{{\"a\":{}1{}}}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(place(&text, Layout::Document).line, Some(1));
}
