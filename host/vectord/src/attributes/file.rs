//! The values in a segment's file.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{Attributes, Path};
use crate::segment_file::{Found, Sections};

/// What a segment's footer says of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttributesFooter {
    complete: bool,
    paths: Vec<Path>,
}

impl Attributes {
    /// Writes the columns.
    pub fn put<W: Write>(&self, sections: &mut Sections<'_, W>) -> io::Result<AttributesFooter> {
        sections.put("attribute-rows", &self.members)?;
        sections.put("attribute-ends", &self.ends)?;
        sections.put("attribute-numbers", &self.numbers)?;
        sections.put("attribute-text-ends", &self.text_ends)?;
        sections.put("attribute-texts", &self.texts)?;
        let mut places: Vec<_> = self.paths.values().collect();
        places.sort_unstable_by_key(|place| place.first);
        Ok(AttributesFooter {
            complete: self.complete,
            paths: places.iter().map(|place| place.path.clone()).collect(),
        })
    }

    /// Maps the columns of a segment of so many rows, and checks them.
    pub fn read(found: &Found<'_>, footer: AttributesFooter, rows: usize) -> Result<Self, String> {
        let sum = |count: fn(&Path) -> usize| {
            let counts = footer.paths.iter().map(count);
            counts.fold(0, usize::saturating_add)
        };
        let (values, numbers, texts) = (
            sum(|path| path.numbers.saturating_add(path.texts).saturating_add(4)),
            sum(|path| path.numbers),
            sum(|path| path.texts),
        );
        let members = found.any_length::<u32>("attribute-rows")?;
        if values > members.len().saturating_add(4 * footer.paths.len()) {
            return Err("its attributes have more values than rows".into());
        }
        let values: usize = footer.paths.iter().map(Path::values).sum();
        let attributes = Self {
            rows,
            complete: footer.complete,
            ends: found.column("attribute-ends", values)?,
            numbers: found.column("attribute-numbers", numbers)?,
            text_ends: found.column("attribute-text-ends", texts)?,
            texts: found.any_length("attribute-texts")?,
            members,
            paths: Self::places(footer.paths),
        };
        let ends_at = |ends: &[u64], length: usize| {
            ends.is_sorted() && ends.last().copied().unwrap_or(0) == length as u64
        };
        let sound = attributes.members.iter().all(|row| (*row as usize) < rows)
            && ends_at(&attributes.ends, attributes.members.len())
            && ends_at(&attributes.text_ends, attributes.texts.len());
        if !sound {
            return Err("its attributes make no sense".into());
        }
        Ok(attributes)
    }
}
