//! In which format a client wants its rows.

use lakehouse_sdk::http::Problem;

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object with columns and rows.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// Text with a line of column names.
    Csv,
    /// Arrow's IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// Media types by format, the preferred format first and its own name first.
const OFFERED: [(Format, &[&str]); 5] = [
    (Format::Json, &["application/json"]),
    (
        Format::Ndjson,
        &[
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
        ],
    ),
    (Format::Csv, &["text/csv"]),
    (Format::Arrow, &["application/vnd.apache.arrow.stream"]),
    (
        Format::Parquet,
        &["application/vnd.apache.parquet", "application/x-parquet"],
    ),
];

impl Format {
    /// The format that an `Accept` header asks for; JSON without one.
    ///
    /// # Errors
    /// 406 if there is none, with what there is.
    pub fn negotiate(accept: Option<&str>) -> Result<Self, Problem> {
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
            return Ok(Self::Json);
        };
        let mut best: Option<(f32, Self)> = None;
        for (format, names) in OFFERED {
            let quality = names
                .iter()
                .map(|name| quality(accept, name))
                .fold(0.0, f32::max);
            if quality > 0.0 && best.is_none_or(|(other, _)| quality > other) {
                best = Some((quality, format));
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| {
            let offered: Vec<&str> = OFFERED.iter().map(|(_, names)| names[0]).collect();
            Problem::new(
                406,
                format!(
                    "none of {accept:?} is offered; there is {}",
                    offered.join(", ")
                ),
            )
        })
    }

    /// The answer's `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// The weight that an `Accept` header gives to a media type: that of the most
/// specific range that covers it, 0 if none does.
fn quality(accept: &str, name: &str) -> f32 {
    let family = name.split('/').next().unwrap_or_default();
    let mut found = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specific = if media == name {
            3
        } else if media.strip_suffix("/*") == Some(family) {
            2
        } else if media == "*/*" {
            1
        } else {
            continue;
        };
        let weight = parts
            .find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
            })
            .map_or(1.0, |value| value.parse().unwrap_or(0.0));
        if specific > found.0 {
            found = (specific, weight);
        }
    }
    found.1
}
