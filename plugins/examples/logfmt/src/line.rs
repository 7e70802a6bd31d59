//! One line.

use lakehouse_sdk::format::Fault;

/// What a line says.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its number, from 1.
    pub line: u64,
    /// In the order of the line.
    pub pairs: Vec<Pair>,
}

/// `key=value`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub key: String,
    pub value: String,
    /// Where the value begins in its line, in bytes from 1.
    pub column: u64,
}

impl Row {
    /// Reads `level=info msg="it is \"up\"" debug`. A key without a value is true.
    pub(crate) fn read(line: u64, bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let column = error.valid_up_to() as u64 + 1;
            Fault::new("the text is not UTF-8")
                .line(line)
                .column(column)
        })?;
        let mut pairs: Vec<Pair> = Vec::new();
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start().len();
            if at == text.len() {
                return Ok(Self { line, pairs });
            }
            let fault = |at: usize, what: &str| Fault::new(what).line(line).column(at as u64 + 1);
            let rest = &text[at..];
            let end = rest.find(|c: char| c == '=' || c.is_whitespace());
            let key = &rest[..end.unwrap_or(rest.len())];
            if key.is_empty() {
                return Err(fault(at, "a value without a key"));
            }
            if key.contains('"') {
                return Err(fault(at, "a quote in a key"));
            }
            if pairs.iter().any(|pair| pair.key == key) {
                return Err(fault(at, "the key is in the line twice").name(key));
            }
            at += key.len();
            let (value, column) = if text[at..].starts_with('=') {
                at += 1;
                let begin = at;
                let (value, length) = value(&text[at..])
                    .ok_or_else(|| fault(begin, "the quoted value does not end").name(key))?;
                at += length;
                (value, begin)
            } else {
                ("true".to_owned(), at)
            };
            pairs.push(Pair {
                key: key.to_owned(),
                value,
                column: column as u64 + 1,
            });
        }
    }
}

/// The value at the beginning of a text, and its length there; none if it has no end.
fn value(text: &str) -> Option<(String, usize)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_owned(), end));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, at + 2)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}
