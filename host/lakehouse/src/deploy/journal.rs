//! What is remembered of one plugin: its generations, and which of them serves.
//!
//! One small JSON document a plugin, replaced whole, so that a crash leaves the old
//! one or the new one.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The form of the document.
const FORM: u32 = 1;

/// Where a generation came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The file in the plugins folder.
    Folder,
    /// A call of the API.
    Api,
    /// Somebody went back to it.
    Rollback,
    /// The host went back to it, because its successor failed.
    Auto,
}

/// What became of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It serves.
    Serving,
    /// Another one took its place.
    Replaced,
    /// It was left for an earlier one.
    RolledBack,
    /// The plugin was removed while it served.
    Removed,
}

/// A version that served or serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its number, from 1 on.
    pub generation: u64,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Bytes of the component.
    pub size: u64,
    /// When it began to serve, as RFC 3339 has it.
    pub at: String,
    /// Where it came from.
    pub source: Source,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it did not stay, if the host knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The generations of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    form: u32,
    /// The number that the next generation gets.
    pub next: u64,
    /// The one that serves, unless the plugin was removed.
    pub current: Option<u64>,
    /// Digest of the file in the plugins folder when it was last taken over; none if
    /// there was none. A file of another digest is news, one of this digest is not.
    pub file: Option<String>,
    /// All that are kept, oldest first.
    pub generations: Vec<Generation>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            form: FORM,
            next: 1,
            current: None,
            file: None,
            generations: Vec::new(),
        }
    }
}

/// Which generation to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one before, of those that did well.
    Previous,
    /// The one of this number.
    Number(u64),
    /// The latest of this digest.
    Digest(String),
}

impl Journal {
    /// Reads a document.
    ///
    /// # Errors
    /// A text for people.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let journal: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if journal.form != FORM {
            return Err(format!(
                "it has form {}, and this host knows {FORM}: a later version wrote it",
                journal.form
            ));
        }
        Ok(journal)
    }

    /// The generation that serves.
    pub fn current(&self) -> Option<&Generation> {
        self.find(self.current?)
    }

    /// The generation of a number.
    pub fn find(&self, number: u64) -> Option<&Generation> {
        let mut all = self.generations.iter();
        all.find(|generation| generation.generation == number)
    }

    /// A new generation serves from now on; `left` and `reason` say what becomes of
    /// the one before.
    pub fn begin(
        &mut self,
        digest: &str,
        size: u64,
        source: Source,
        left: Outcome,
        reason: Option<String>,
    ) -> u64 {
        self.end(left, reason);
        let number = self.next;
        self.next += 1;
        self.current = Some(number);
        self.generations.push(Generation {
            generation: number,
            digest: digest.to_owned(),
            size,
            at: now(),
            source,
            outcome: Outcome::Serving,
            reason: None,
        });
        number
    }

    /// The generation that serves no longer does.
    pub fn end(&mut self, outcome: Outcome, reason: Option<String>) {
        let Some(current) = self.current.take() else {
            return;
        };
        let mut all = self.generations.iter_mut();
        if let Some(generation) = all.find(|generation| generation.generation == current) {
            generation.outcome = outcome;
            generation.reason = reason;
        }
    }

    /// The generation that a rollback brings back.
    ///
    /// # Errors
    /// A text for people, if there is none.
    pub fn target(&self, target: &Target) -> Result<&Generation, String> {
        let latest = |fits: &dyn Fn(&Generation) -> bool| {
            let mut all = self.generations.iter().rev();
            all.find(|generation| fits(generation))
        };
        match target {
            Target::Number(number) => self.find(*number).ok_or_else(|| {
                let kept: Vec<String> = self
                    .generations
                    .iter()
                    .map(|generation| generation.generation.to_string())
                    .collect();
                let kept = if kept.is_empty() {
                    "none".to_owned()
                } else {
                    kept.join(", ")
                };
                format!("there is no generation {number}; kept are {kept}")
            }),
            Target::Digest(digest) => latest(&|generation| generation.digest == *digest)
                .ok_or_else(|| format!("no generation with the digest {digest} is kept")),
            // A component is judged by the last time that it served.
            Target::Previous => {
                let mut judged: Vec<&str> = Vec::new();
                judged.extend(self.current().map(|current| current.digest.as_str()));
                let mut all = self.generations.iter().rev();
                all.find(|generation| {
                    let digest = generation.digest.as_str();
                    let first = !judged.contains(&digest);
                    judged.push(digest);
                    first && generation.outcome != Outcome::RolledBack
                })
                .ok_or_else(|| "there is no earlier generation to go back to".to_owned())
            }
        }
    }

    /// Drops all but the latest `keep` beside the one that serves, and returns the
    /// digests that no generation has any more.
    pub fn prune(&mut self, keep: usize) -> Vec<String> {
        let mut spare = self.generations.len().saturating_sub(1 + keep);
        if self.current.is_none() {
            spare = self.generations.len().saturating_sub(keep);
        }
        let current = self.current;
        let mut dropped = Vec::new();
        self.generations.retain(|generation| {
            let goes = spare > 0 && Some(generation.generation) != current;
            if goes {
                spare -= 1;
                dropped.push(generation.digest.clone());
            }
            !goes
        });
        dropped.retain(|digest| !self.names(digest));
        dropped.sort_unstable();
        dropped.dedup();
        dropped
    }

    /// Whether a generation has this digest.
    pub fn names(&self, digest: &str) -> bool {
        let mut all = self.generations.iter();
        all.any(|generation| generation.digest == digest)
    }
}

/// This moment, as RFC 3339 has it.
pub fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(digests: &[&str]) -> Journal {
        let mut journal = Journal::default();
        for digest in digests {
            journal.begin(digest, 1, Source::Folder, Outcome::Replaced, None);
        }
        journal
    }

    fn back(journal: &mut Journal) -> Result<String, String> {
        let digest = journal.target(&Target::Previous)?.digest.clone();
        journal.begin(&digest, 1, Source::Rollback, Outcome::RolledBack, None);
        Ok(digest)
    }

    #[test]
    fn it_reads_back_as_written() {
        let journal = journal(&["a", "b"]);
        let text = serde_json::to_vec(&journal).unwrap();
        assert_eq!(Journal::parse(&text), Ok(journal));
        let later = String::from_utf8(text)
            .unwrap()
            .replace("\"form\":1", "\"form\":2");
        assert!(
            Journal::parse(later.as_bytes())
                .unwrap_err()
                .contains("form 2")
        );
        assert!(Journal::parse(b"{").is_err());
    }

    #[test]
    fn going_back_twice_goes_back_further() {
        let mut journal = journal(&["a", "b", "c"]);
        assert_eq!(back(&mut journal).as_deref(), Ok("b"));
        assert_eq!(back(&mut journal).as_deref(), Ok("a"));
        assert!(back(&mut journal).is_err());
        // What was left can still be asked for by name.
        assert_eq!(
            journal
                .target(&Target::Digest("c".into()))
                .unwrap()
                .generation,
            3
        );
        assert_eq!(journal.target(&Target::Number(2)).unwrap().digest, "b");
        let error = journal.target(&Target::Number(9)).unwrap_err();
        assert_eq!(error, "there is no generation 9; kept are 1, 2, 3, 4, 5");
    }

    #[test]
    fn a_removed_plugin_comes_back_as_it_was() {
        let mut journal = journal(&["a", "b"]);
        journal.end(Outcome::Removed, None);
        assert_eq!(journal.current(), None);
        assert_eq!(journal.target(&Target::Previous).unwrap().digest, "b");
    }

    #[test]
    fn the_oldest_go_and_what_serves_stays() {
        let mut journal = journal(&["a", "b", "c", "b"]);
        assert_eq!(journal.prune(2), ["a"]);
        assert_eq!(journal.prune(1), [""; 0]);
        assert_eq!(journal.prune(0), ["c"]);
        assert_eq!(journal.current().unwrap().generation, 4);
        journal.end(Outcome::Removed, None);
        assert_eq!(journal.prune(0), ["b"]);
    }
}
