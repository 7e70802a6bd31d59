//! How keys become paths of the local folder, and back.
//!
//! The key `warehouse/a/b.parquet` is the file `<root>/warehouse/a/b.parquet`,
//! so that other engines find it by its path; no character is escaped. Two
//! kinds of segment cannot be a file name as they are: ones longer than the
//! 255 bytes that file systems take, and ones that look like our own files.
//! Those are cut into pieces of up to [`PIECE`] bytes, each one level of
//! folders deep: `.lakehouse~c<piece>` goes on, `.lakehouse~e<piece>` ends the
//! segment.

use std::path::{Path, PathBuf};

use super::super::key::Key;

/// What the names of our own files and of escaped segments begin with.
pub(super) const RESERVED: &str = ".lakehouse~";
/// The folder of unfinished puts, in the root.
pub(super) const TEMP: &str = ".lakehouse~tmp";
/// The folder of lock files, in the root.
pub(super) const LOCK: &str = ".lakehouse~lock";

const CONTINUED: &str = ".lakehouse~c";
const END: &str = ".lakehouse~e";
/// The longest file name of the usual file systems, in bytes.
const NAME_MAX: usize = 255;
const PIECE: usize = 240;

/// The path of a key.
pub(super) fn path(root: &Path, key: &Key) -> PathBuf {
    let mut path = root.to_owned();
    for segment in key.as_str().split('/') {
        push(&mut path, segment);
    }
    path
}

/// Appends one segment of a key.
pub(super) fn push(path: &mut PathBuf, segment: &str) {
    if segment.len() <= NAME_MAX && !segment.starts_with(RESERVED) {
        path.push(segment);
        return;
    }
    let mut rest = segment;
    while rest.len() > PIECE {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(PIECE));
        path.push(format!("{CONTINUED}{piece}"));
        rest = tail;
    }
    path.push(format!("{END}{rest}"));
}

/// What a name in a folder stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'n> {
    /// A whole segment, or with pieces before it the end of one.
    End(&'n str),
    /// A piece of a segment that goes on inside this folder.
    Continued(&'n str),
    /// Not part of any key.
    Foreign,
}

/// Reads a name. `inside` says that the folder is itself a piece of a segment.
pub(super) fn read(name: &str, inside: bool) -> Name<'_> {
    if let Some(piece) = name.strip_prefix(CONTINUED) {
        Name::Continued(piece)
    } else if let Some(piece) = name.strip_prefix(END) {
        Name::End(piece)
    } else if inside || name.starts_with(RESERVED) {
        Name::Foreign
    } else {
        Name::End(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The segments of a path, put together again.
    fn unmap(path: &Path) -> String {
        let mut segments = Vec::new();
        let mut begun = String::new();
        for name in path.iter() {
            let name = name.to_str().expect("made from a key");
            assert!(name.len() <= NAME_MAX, "{} bytes", name.len());
            match read(name, !begun.is_empty()) {
                Name::Continued(piece) => begun.push_str(piece),
                Name::End(piece) => {
                    begun.push_str(piece);
                    segments.push(std::mem::take(&mut begun));
                }
                Name::Foreign => panic!("{name:?} is part of no key"),
            }
        }
        segments.join("/")
    }

    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9._-]{1,12}",
            "[^/\\x00]{1,40}",
            "[é-ü😀]{60,90}",
            "[a-z]{250,260}",
            "\\.lakehouse~[ce]?[a-z]{0,5}",
        ]
    }

    proptest! {
        #[test]
        fn every_key_has_a_path_of_its_own_and_comes_back(
            segments in prop::collection::vec(segment(), 1..4)
        ) {
            if let Ok(key) = Key::parse(segments.join("/")) {
                let mapped = path(Path::new(""), &key);
                prop_assert_eq!(unmap(&mapped), key.as_str());
            }
        }
    }

    #[test]
    fn ordinary_keys_are_their_paths() {
        for key in ["warehouse/a/b.parquet", "a b/%2e%2e/#?*~", ".hidden/ü"] {
            let key = Key::parse(key).expect("valid");
            assert_eq!(
                path(Path::new("/r"), &key),
                Path::new("/r").join(key.as_str())
            );
        }
    }

    #[test]
    fn no_key_reaches_our_own_files() {
        for key in [TEMP, LOCK, ".lakehouse~tmp/x"] {
            let key = Key::parse(key).expect("valid");
            let mapped = path(Path::new("/r"), &key);
            assert!(
                !mapped.starts_with(Path::new("/r").join(TEMP)),
                "{mapped:?}"
            );
            assert!(
                !mapped.starts_with(Path::new("/r").join(LOCK)),
                "{mapped:?}"
            );
        }
    }
}
