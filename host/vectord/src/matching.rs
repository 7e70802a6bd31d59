//! A filter, put to the rows of one segment.

use crate::attributes::{Attributes, Judged};
use crate::filter::Filter;
use crate::rows::Texts;

/// Which rows of a segment a filter takes: known from what the segment's
/// metadata say by path, or found out row by row.
pub(crate) struct Matching<'a> {
    filter: &'a Filter,
    metadata: &'a Texts,
    judged: Option<Judged>,
}

impl<'a> Matching<'a> {
    pub fn new(filter: &'a Filter, metadata: &'a Texts, attributes: Option<&Attributes>) -> Self {
        Self {
            filter,
            metadata,
            judged: attributes.map(|attributes| attributes.judge(filter)),
        }
    }

    /// What is known without reading metadata.
    pub fn judged(&self) -> Option<&Judged> {
        self.judged.as_ref()
    }

    /// Most rows that match.
    pub fn most(&self) -> usize {
        match &self.judged {
            Some(judged) => judged.may().count(),
            None => self.metadata.len(),
        }
    }

    /// Whether a row matches; slow where its metadata must be read.
    pub fn accepts(&self, row: usize) -> bool {
        match &self.judged {
            Some(judged) if judged.must.contains(row) => true,
            Some(judged) if !judged.may().contains(row) => false,
            _ => self.filter.matches(self.metadata.get(row)),
        }
    }
}
