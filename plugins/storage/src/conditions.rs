//! Conditional requests, RFC 9110 section 13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lakehouse_sdk::http::Request;
use lakehouse_sdk::store::ObjectMeta;

/// The ETags of an `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    /// These, without quotes.
    List(Vec<Tag>),
}

/// One ETag of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag {
    weak: bool,
    text: String,
}

impl Tags {
    /// Reads all headers of that name. Tags without quotes are taken as they are.
    pub fn of(request: &Request, header: &str) -> Option<Self> {
        let values: Vec<_> = request
            .headers()
            .filter(|(name, _)| *name == header)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect();
        if values.is_empty() {
            return None;
        }
        let all = values.join(",");
        if all.trim() == "*" {
            return Some(Self::Any);
        }
        Some(Self::List(split(&all).map(Tag::read).collect()))
    }

    /// The comparison of `If-Match`: weak tags never match.
    pub fn has_strong(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| !tag.weak && tag.text == etag),
        }
    }

    /// The comparison of `If-None-Match`.
    pub fn has_weak(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.text == etag),
        }
    }

    /// The only tag, if it is a strong one.
    pub fn single(&self) -> Option<&str> {
        match self {
            Self::List(tags) => match tags.as_slice() {
                [tag] if !tag.weak => Some(&tag.text),
                _ => None,
            },
            Self::Any => None,
        }
    }
}

impl Tag {
    fn read(text: &str) -> Self {
        let (weak, text) = match text.strip_prefix("W/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let text = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text);
        Self {
            weak,
            text: text.to_owned(),
        }
    }
}

/// The elements of a list; commas inside of quotes do not count.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
}

/// What the conditions of a read say.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were none.
    Go,
    /// 304.
    NotModified,
    /// 412, by this header.
    Failed(&'static str),
}

/// The conditions of a `GET` or `HEAD`.
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_unmodified_since: Option<SystemTime>,
    if_modified_since: Option<SystemTime>,
    if_range: Option<String>,
}

impl Conditions {
    /// Those of a request. Dates that are none do not count.
    pub fn of(request: &Request) -> Self {
        let date = |name| {
            request
                .header(name)
                .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        };
        Self {
            if_match: Tags::of(request, "if-match"),
            if_none_match: Tags::of(request, "if-none-match"),
            if_unmodified_since: date("if-unmodified-since"),
            if_modified_since: date("if-modified-since"),
            if_range: request
                .header("if-range")
                .map(|text| text.trim().to_owned()),
        }
    }

    /// Whether there are none that need to be looked at before the read.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_unmodified_since.is_none()
            && self.if_modified_since.is_none()
    }

    /// Applies them, in the order of RFC 9110 section 13.2.2.
    pub fn evaluate(&self, meta: &ObjectMeta) -> Outcome {
        let modified = last_modified(meta);
        if let Some(tags) = &self.if_match {
            if !tags.has_strong(&meta.etag) {
                return Outcome::Failed("If-Match");
            }
        } else if self
            .if_unmodified_since
            .is_some_and(|since| modified > since)
        {
            return Outcome::Failed("If-Unmodified-Since");
        }
        let same = match &self.if_none_match {
            Some(tags) => tags.has_weak(&meta.etag),
            None => self
                .if_modified_since
                .is_some_and(|since| modified <= since),
        };
        if same {
            Outcome::NotModified
        } else {
            Outcome::Go
        }
    }

    /// Whether a `Range` counts for this state of the object.
    pub fn allow_range(&self, meta: &ObjectMeta) -> bool {
        match &self.if_range {
            None => true,
            Some(text) if text.starts_with('"') => Tag::read(text).text == meta.etag,
            Some(text) if text.starts_with("W/") => false,
            Some(text) => {
                httpdate::parse_http_date(text).is_ok_and(|date| date == last_modified(meta))
            }
        }
    }
}

/// The time of an object as HTTP tells it: whole seconds.
pub fn last_modified(meta: &ObjectMeta) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(meta.last_modified / 1000)
}
