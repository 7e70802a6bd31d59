//! Gathering the values of some rows.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Attributes, Kept, Path};

/// Most paths that are kept: those of the most rows.
const MAX_PATHS: usize = 256;
/// Most paths looked at to choose among.
const MAX_SEEN: usize = 4 * MAX_PATHS;
/// Longest path that is kept, in bytes.
const MAX_NAME: usize = 1024;

/// The values of a path as they come.
#[derive(Default)]
struct Values {
    null: Vec<u32>,
    no: Vec<u32>,
    yes: Vec<u32>,
    numbers: Vec<(f64, u32)>,
    /// Places in the dictionary.
    texts: Vec<(u32, u32)>,
    dictionary: HashMap<String, u32>,
    others: Vec<u32>,
    /// Rows noted.
    rows: usize,
    /// The last of them.
    last: Option<u32>,
}

impl Values {
    fn note(&mut self, row: u32, value: &Value) {
        if self.last == Some(row) {
            // A shallower member bears the same path.
            return;
        }
        self.last = Some(row);
        self.rows += 1;
        match Kept::of(value) {
            Kept::Null => self.null.push(row),
            Kept::Bool(false) => self.no.push(row),
            Kept::Bool(true) => self.yes.push(row),
            Kept::Number(number) => self.numbers.push((number, row)),
            Kept::Text(text) => {
                let next = self.dictionary.len() as u32;
                let number = match self.dictionary.get(text) {
                    Some(number) => *number,
                    None => *self.dictionary.entry(text.to_owned()).or_insert(next),
                };
                self.texts.push((number, row));
            }
            Kept::Other => self.others.push(row),
        }
    }
}

/// All paths as they come.
struct Gathering {
    paths: HashMap<String, Values>,
    complete: bool,
}

impl Gathering {
    /// Notes an object's members, shallow ones first: these bear a path that
    /// deeper ones might bear too.
    fn visit(&mut self, row: u32, metadata: &Map<String, Value>) {
        let mut level = vec![(String::new(), metadata)];
        while !level.is_empty() {
            let mut deeper = Vec::new();
            for (prefix, members) in level {
                for (name, value) in members {
                    let path = format!("{prefix}{name}");
                    self.note(&path, row, value);
                    // A name with a dot is only ever the end of a path.
                    if let Value::Object(inner) = value
                        && !name.contains('.')
                    {
                        deeper.push((path + ".", inner));
                    }
                }
            }
            level = deeper;
        }
    }

    fn note(&mut self, path: &str, row: u32, value: &Value) {
        if let Some(values) = self.paths.get_mut(path) {
            values.note(row, value);
        } else if self.paths.len() < MAX_SEEN && path.len() <= MAX_NAME {
            let values = self.paths.entry(path.to_owned()).or_default();
            values.note(row, value);
        } else {
            self.complete = false;
        }
    }
}

impl Attributes {
    /// Gathers the values of rows' metadata, JSON objects as text.
    pub fn build<'a>(metadata: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut gathering = Gathering {
            paths: HashMap::new(),
            complete: true,
        };
        let mut rows = 0;
        for (row, text) in metadata.enumerate() {
            rows = row + 1;
            // What is stored was checked to be an object when it came.
            if let Some(text) = text
                && let Ok(object) = serde_json::from_str(text)
            {
                gathering.visit(row as u32, &object);
            }
        }
        let Gathering { paths, complete } = gathering;
        let mut paths: Vec<(String, Values)> = paths.into_iter().collect();
        paths.sort_unstable_by(|(a, a_values), (b, b_values)| {
            b_values.rows.cmp(&a_values.rows).then_with(|| a.cmp(b))
        });
        let mut columns = Columns {
            attributes: Self {
                rows,
                complete: complete && paths.len() <= MAX_PATHS,
                ..Self::default()
            },
            paths: Vec::new(),
        };
        paths.truncate(MAX_PATHS);
        for (name, values) in paths {
            columns.push(name, values);
        }
        columns.finish()
    }
}

/// Columns being filled.
struct Columns {
    attributes: Attributes,
    paths: Vec<Path>,
}

impl Columns {
    fn push(&mut self, name: String, mut values: Values) {
        let mut path = Path {
            name,
            null: self.value(&values.null),
            r#false: self.value(&values.no),
            r#true: self.value(&values.yes),
            numbers: 0,
            texts: 0,
            others: false,
        };
        values
            .numbers
            .sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for same in values.numbers.chunk_by(|a, b| a.0 == b.0) {
            self.attributes.numbers.to_mut().push(same[0].0);
            path.numbers += 1;
            let rows: Vec<u32> = same.iter().map(|(_, row)| *row).collect();
            self.value(&rows);
        }
        let mut texts: Vec<(String, u32)> = values.dictionary.into_iter().collect();
        texts.sort_unstable();
        let mut ranks = vec![0; texts.len()];
        for (rank, (text, number)) in texts.iter().enumerate() {
            ranks[*number as usize] = rank as u32;
            let bytes = self.attributes.texts.to_mut();
            bytes.extend_from_slice(text.as_bytes());
            let end = bytes.len() as u64;
            self.attributes.text_ends.to_mut().push(end);
        }
        for (text, _) in &mut values.texts {
            *text = ranks[*text as usize];
        }
        values.texts.sort_unstable();
        for same in values.texts.chunk_by(|a, b| a.0 == b.0) {
            path.texts += 1;
            let rows: Vec<u32> = same.iter().map(|(_, row)| *row).collect();
            self.value(&rows);
        }
        path.others = self.value(&values.others);
        self.paths.push(path);
    }

    /// Appends a value's rows; says whether there are any.
    fn value(&mut self, rows: &[u32]) -> bool {
        if !rows.is_empty() {
            let members = self.attributes.members.to_mut();
            members.extend_from_slice(rows);
            let end = members.len() as u64;
            self.attributes.ends.to_mut().push(end);
        }
        !rows.is_empty()
    }

    fn finish(mut self) -> Attributes {
        self.attributes.paths = Attributes::places(self.paths);
        self.attributes
    }
}
