//! The storage plugin: objects over HTTP.
