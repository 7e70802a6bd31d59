//! The query of `POST /ingest`.

use lakehouse_sdk::catalog::{TableName, WriteMode};
use lakehouse_sdk::http::Problem;

use crate::csv::CsvOptions;

/// The format of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated values, RFC 4180, and their relatives.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// An array of JSON objects, or objects one after the other.
    Json,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC stream or file.
    Arrow,
    /// What the plugin of this name reads.
    Plugin(String),
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv,
            "ndjson" | "jsonl" => Self::Ndjson,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            "arrow" => Self::Arrow,
            _ => return None,
        })
    }

    /// The format that a content type stands for; its parameters are ignored.
    pub(crate) fn from_content_type(value: &str) -> Option<Self> {
        let media = value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        Some(match media.as_str() {
            "text/csv" | "application/csv" | "text/tab-separated-values" => Self::Csv,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => Self::Ndjson,
            "application/json" | "text/json" => Self::Json,
            "application/vnd.apache.parquet" | "application/parquet" | "application/x-parquet" => {
                Self::Parquet
            }
            "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => {
                Self::Arrow
            }
            _ => return None,
        })
    }

    /// The format that a file name's ending stands for.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name
            .strip_suffix(".gz")
            .or_else(|| name.strip_suffix(".zst"))
            .unwrap_or(&name);
        Some(match name.rsplit_once('.')?.1 {
            "csv" | "tsv" | "tbl" | "txt" => Self::Csv,
            "ndjson" | "jsonl" => Self::Ndjson,
            "json" => Self::Json,
            "parquet" | "pq" => Self::Parquet,
            "arrow" | "arrows" | "feather" | "ipc" => Self::Arrow,
            _ => return None,
        })
    }
}

/// What the query asks for.
#[derive(Debug, Clone)]
pub(crate) struct Params {
    pub table: TableName,
    pub mode: WriteMode,
    pub format: Option<Format>,
    pub evolve: bool,
    pub csv: CsvOptions,
    /// What is for the plugin that reads the format.
    pub options: Vec<(String, String)>,
}

impl Params {
    /// Reads the query's names and values. Unknown and repeated ones are
    /// refused: a misspelt option must not be ignored. `plugins` are the formats
    /// of other plugins, which have options of their own.
    pub(crate) fn read(
        pairs: &[(String, String)],
        plugins: impl FnOnce() -> Vec<String>,
    ) -> Result<Self, Problem> {
        let mut table = None;
        let mut mode = WriteMode::Append;
        let asked = pairs.iter().find(|(name, _)| name == "format");
        let format = asked.map(|(_, value)| format(value, plugins)).transpose()?;
        let foreign = matches!(format, Some(Format::Plugin(_)));
        let mut options = Vec::new();
        let mut evolve = false;
        let mut csv = CsvOptions::default();
        let mut nulls = Vec::new();
        for (at, (name, value)) in pairs.iter().enumerate() {
            if name != "null" && pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::bad_request(format!(
                    "'{name}' is given more than once"
                )));
            }
            match name.as_str() {
                "table" => table = Some(table_name(value)?),
                "mode" => {
                    mode = match value.as_str() {
                        "append" => WriteMode::Append,
                        "create" => WriteMode::Create,
                        "overwrite" => WriteMode::Overwrite,
                        _ => return Err(bad(name, value, "append, create or overwrite")),
                    }
                }
                "format" => {}
                "evolve" => evolve = boolean(name, value)?,
                _ if foreign => options.push((name.clone(), value.clone())),
                "header" => csv.header = boolean(name, value)?,
                "delimiter" => csv.delimiter = Some(delimiter(value)?),
                "quote" => csv.quote = quote(value)?,
                "null" => nulls.push(value.clone()),
                _ => {
                    return Err(Problem::bad_request(format!(
                        "'{name}' is no option; there are table, format, mode, evolve, header, \
                         delimiter, quote and null"
                    )));
                }
            }
        }
        if csv.quote.is_some() && csv.quote == csv.delimiter {
            return Err(Problem::bad_request(
                "'quote' and 'delimiter' are the same character",
            ));
        }
        if !nulls.is_empty() {
            csv.nulls = nulls;
        }
        let table = table.ok_or_else(|| {
            Problem::bad_request("'table' is missing: POST /v1/ingest?table=<namespace>.<name>")
        })?;
        Ok(Self {
            table,
            mode,
            format,
            evolve,
            csv,
            options,
        })
    }
}

/// A format by its name: one that is here, or else a plugin's.
fn format(value: &str, plugins: impl FnOnce() -> Vec<String>) -> Result<Format, Problem> {
    if let Some(format) = Format::from_name(value) {
        return Ok(format);
    }
    let plugins = plugins();
    if plugins.iter().any(|plugin| plugin == value) {
        return Ok(Format::Plugin(value.to_owned()));
    }
    let there = ["csv", "ndjson", "json", "parquet", "arrow"].into_iter();
    let there: Vec<&str> = there.chain(plugins.iter().map(String::as_str)).collect();
    Err(bad(
        "format",
        value,
        &format!("one of {}", there.join(", ")),
    ))
}

/// `name` or `namespace.name`; each part follows the catalog's rule.
fn table_name(value: &str) -> Result<TableName, Problem> {
    let (namespace, name) = value.split_once('.').unwrap_or(("default", value));
    for part in [namespace, name] {
        let valid = !part.is_empty()
            && part.len() <= 128
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !valid {
            return Err(Problem::bad_request(format!(
                "'{value}' is not a table name: a namespace and a name, joined by a dot, each of \
                 1 to 128 of A-Z a-z 0-9 _ - and not starting with -"
            )));
        }
    }
    Ok(TableName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad(name, value, "true or false")),
    }
}

fn delimiter(value: &str) -> Result<u8, Problem> {
    match value.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\r\n\0".contains(byte) => Ok(*byte),
        _ => Err(bad("delimiter", value, "one ASCII character, or \\t")),
    }
}

fn quote(value: &str) -> Result<Option<u8>, Problem> {
    match value.as_bytes() {
        [] => Ok(None),
        [byte] if byte.is_ascii() && !b"\r\n\0".contains(byte) => Ok(Some(*byte)),
        _ => Err(bad(
            "quote",
            value,
            "one ASCII character, or nothing for no quoting",
        )),
    }
}

fn bad(name: &str, value: &str, expected: &str) -> Problem {
    Problem::bad_request(format!("'{name}' is '{value}'; it must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Params, Problem> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Params::read(&pairs, || vec!["logfmt".to_owned()])
    }

    #[test]
    fn a_table_without_namespace_is_in_default() {
        let table = read(&[("table", "t")]).unwrap().table;
        assert_eq!(
            (table.namespace.as_str(), table.name.as_str()),
            ("default", "t")
        );
        let table = read(&[("table", "a_1.b-2")]).unwrap().table;
        assert_eq!(
            (table.namespace.as_str(), table.name.as_str()),
            ("a_1", "b-2")
        );
    }

    #[test]
    fn names_that_leave_the_catalog_are_refused() {
        let long = "x".repeat(129);
        for name in [
            "", ".", "a.", ".b", "../x", "a/b", "a.b.c", "-a", "a b", "ä", &long, "a\0",
        ] {
            assert_eq!(
                read(&[("table", name)]).unwrap_err().status,
                400,
                "{name:?}"
            );
        }
        assert_eq!(read(&[]).unwrap_err().status, 400);
    }

    #[test]
    fn options_are_checked() {
        for (name, value) in [
            ("mode", "merge"),
            ("format", "xls"),
            ("header", "maybe"),
            ("delimiter", ""),
            ("delimiter", "ab"),
            ("quote", "ab"),
            ("quot", "x"),
        ] {
            assert!(
                read(&[("table", "t"), (name, value)]).is_err(),
                "{name}={value}"
            );
        }
        assert!(read(&[("table", "t"), ("table", "u")]).is_err());
        assert!(read(&[("table", "t"), ("quote", ";"), ("delimiter", ";")]).is_err());
        let tab = read(&[
            ("table", "t"),
            ("delimiter", "\\t"),
            ("null", "NA"),
            ("null", ""),
        ])
        .unwrap();
        assert_eq!(tab.csv.delimiter, Some(b'\t'));
        assert_eq!(tab.csv.nulls, ["NA", ""]);
    }

    #[test]
    fn the_format_of_a_plugin_has_options_of_its_own() {
        let read = read(&[("delimiter", "||"), ("format", "logfmt"), ("table", "t")]).unwrap();
        assert_eq!(read.format, Some(Format::Plugin("logfmt".to_owned())));
        assert_eq!(read.options, [("delimiter".to_owned(), "||".to_owned())]);
        let error = Params::read(&[("format".to_owned(), "xls".to_owned())], || {
            vec!["logfmt".to_owned()]
        });
        let detail = error.unwrap_err().detail;
        assert!(
            detail.ends_with("csv, ndjson, json, parquet, arrow, logfmt"),
            "{detail}"
        );
    }

    #[test]
    fn formats_are_known_by_type_and_by_name() {
        assert_eq!(
            Format::from_content_type("Text/CSV; charset=utf-8"),
            Some(Format::Csv)
        );
        assert_eq!(Format::from_content_type("application/octet-stream"), None);
        assert_eq!(Format::from_file_name("a.b.PARQUET"), Some(Format::Parquet));
        assert_eq!(Format::from_file_name("rows.csv.gz"), Some(Format::Csv));
        assert_eq!(Format::from_file_name("README"), None);
    }
}
