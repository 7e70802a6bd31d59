//! The records of the WIT interface and ours.

use super::{Meta, Mode, Page, Span};
use crate::bindings::store as wit;

impl From<wit::ByteRange> for Span {
    fn from(range: wit::ByteRange) -> Self {
        Self {
            offset: range.offset,
            length: range.length,
        }
    }
}

impl From<wit::PutMode> for Mode {
    fn from(mode: wit::PutMode) -> Self {
        match mode {
            wit::PutMode::Overwrite => Self::Overwrite,
            wit::PutMode::Create => Self::Create,
            wit::PutMode::Update(etag) => Self::Update(etag),
        }
    }
}

impl From<Meta> for wit::ObjectMeta {
    fn from(meta: Meta) -> Self {
        Self {
            key: meta.key,
            size: meta.size,
            etag: meta.etag,
            last_modified: meta.last_modified,
        }
    }
}

impl From<Page> for wit::ListPage {
    fn from(page: Page) -> Self {
        Self {
            objects: page.objects.into_iter().map(Into::into).collect(),
            prefixes: page.prefixes,
            cursor: page.cursor,
        }
    }
}
