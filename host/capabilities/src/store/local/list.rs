//! Listing the local folder in the byte order of keys.
//!
//! A walk that sorts each folder as it comes to it, with a folder's name ending
//! in `/`: since every key inside begins with that, the walk meets all keys in
//! order. It enters only folders that can hold keys of this page, so a page
//! costs the folders on its way and not the whole store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::names::{self, Name};
use super::{absent, meta};
use crate::Error;
use crate::store::key::{Key, MAX_KEY};
use crate::store::{ListRequest, Page};

/// One name in a folder.
struct Entry {
    /// What it adds to the key: a segment, and `/` if it is a folder.
    fragment: String,
    /// Its path in the folder, where that is not the segment itself.
    escaped: Option<PathBuf>,
}

/// A folder on the way.
struct Frame {
    /// What all its keys begin with.
    prefix: String,
    path: PathBuf,
    entries: std::vec::IntoIter<Entry>,
}

/// One page. The request was checked.
pub(super) fn page(root: &Path, request: &ListRequest) -> Result<Page, Error> {
    let mut page = Page::default();
    let Some(first) = start(root, request)? else {
        return Ok(page);
    };
    let mut frames = vec![first];
    let mut last: Option<String> = None;
    while let Some(frame) = frames.last_mut() {
        let Some(entry) = frame.entries.next() else {
            frames.pop();
            continue;
        };
        let key = format!("{}{}", frame.prefix, entry.fragment);
        if page
            .prefixes
            .last()
            .is_some_and(|done| key.starts_with(done.as_str()))
        {
            continue;
        }
        let path = match &entry.escaped {
            Some(escaped) => frame.path.join(escaped),
            None => frame.path.join(entry.fragment.trim_end_matches('/')),
        };
        if key.ends_with('/') {
            frames.extend(folder(path, key, request)?);
            continue;
        }
        let Ok(key) = Key::parse(key) else {
            continue; // not ours: no call could name it
        };
        let found = match fs::metadata(&path) {
            Ok(found) if found.is_file() => found,
            Ok(_) => continue,
            Err(e) if absent(&e) => continue, // deleted a moment ago
            Err(e) => return Err(Error::io(format_args!("look up `{key}`"), e)),
        };
        if page.objects.len() + page.prefixes.len() == request.limit {
            page.cursor = last;
            break;
        }
        match request.fold(key.as_str()) {
            Some(folded) => {
                last = Some(folded.to_owned());
                page.prefixes.push(folded.to_owned());
                while frames
                    .last()
                    .is_some_and(|frame| frame.prefix.starts_with(folded))
                {
                    frames.pop();
                }
            }
            None => {
                last = Some(key.as_str().to_owned());
                page.objects.push(meta(key.into_string(), &found));
            }
        }
    }
    Ok(page)
}

/// The deepest folder that all keys with the prefix are in.
fn start(root: &Path, request: &ListRequest) -> Result<Option<Frame>, Error> {
    let Some((folder_key, _)) = request.prefix.rsplit_once('/') else {
        return folder(root.to_owned(), String::new(), request);
    };
    // What is no key is the beginning of none, and is never made a path.
    match Key::parse(folder_key) {
        Ok(key) => folder(names::path(root, &key), format!("{folder_key}/"), request),
        Err(_) => Ok(None),
    }
}

/// Reads a folder's names that can matter to this page, sorted. None if it is
/// not there.
fn folder(path: PathBuf, prefix: String, request: &ListRequest) -> Result<Option<Frame>, Error> {
    if prefix.len() > MAX_KEY {
        return Ok(None); // a symbolic link that leads to itself
    }
    let mut entries = Vec::new();
    match read(&path, Path::new(""), "", &mut entries) {
        Ok(()) => {}
        Err(e) if absent(&e) => return Ok(None),
        Err(e) => {
            let shown = prefix.escape_debug();
            return Err(Error::io(format_args!("list `{shown}`"), e));
        }
    }
    let cursor = request.cursor.as_deref();
    let folded = request.folded_cursor();
    entries.retain(|entry| {
        let key = format!("{prefix}{}", entry.fragment);
        let is_folder = key.ends_with('/');
        let wanted =
            key.starts_with(&request.prefix) || (is_folder && request.prefix.starts_with(&key));
        let after = cursor
            .is_none_or(|cursor| key.as_str() > cursor || (is_folder && cursor.starts_with(&key)));
        let done = folded.is_some_and(|folded| key.starts_with(folded));
        wanted && after && !done
    });
    entries.sort_unstable_by(|a, b| a.fragment.cmp(&b.fragment));
    Ok(Some(Frame {
        prefix,
        path,
        entries: entries.into_iter(),
    }))
}

/// Collects the names in `folder`/`inside`, where `begun` is the beginning of
/// a segment whose pieces led here.
fn read(folder: &Path, inside: &Path, begun: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(inside))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let path = inside.join(name);
        let (fragment, goes_on) = match names::read(name, !begun.is_empty()) {
            Name::Foreign => continue,
            Name::Continued(piece) => (format!("{begun}{piece}"), true),
            Name::End(piece) => (format!("{begun}{piece}"), false),
        };
        if goes_on {
            if fragment.len() <= MAX_KEY {
                read(folder, &path, &fragment, entries)?;
            }
            continue;
        }
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            match fs::metadata(entry.path()) {
                Ok(target) => kind = target.file_type(),
                Err(_) => continue,
            }
        }
        let escaped = (path.as_os_str() != fragment.as_str()).then_some(path);
        entries.push(Entry {
            fragment: if kind.is_dir() {
                fragment + "/"
            } else {
                fragment
            },
            escaped,
        });
    }
    Ok(())
}
