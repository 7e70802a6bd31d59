//! Snapshots of indexes in the object store.
//!
//! A snapshot is the files of an index under
//! `vectors/<index>/<snapshot>/`, and beside them `snapshot.json`, written
//! last, which names them with their lengths and checksums: without it there
//! is no snapshot.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use lakehouse_capabilities::store::{Key, ListRequest, MAX_PAGE, Mode};
use lakehouse_capabilities::{Error, Kind, Store};
use lakehouse_vectord::{Distance, IndexInfo, Restore, Service, Snapshot, SnapshotFile};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::Failure;
use super::now;

/// Bytes read and sent at once.
const CHUNK: usize = 1 << 20;
/// Ends a snapshot's listing of its files.
const LISTING: &str = "snapshot.json";
/// The version of that listing.
const VERSION: u32 = 1;

/// What a snapshot is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    version: u32,
    /// Its name: names of later ones sort after it.
    pub snapshot: String,
    /// The index that it is of.
    index: String,
    dimension: usize,
    distance: Distance,
    /// Items in it.
    count: u64,
    /// Bytes of its files.
    bytes: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    taken_at: u64,
    files: Vec<File>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    bytes: u64,
    crc32c: u32,
}

/// What to restore.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The snapshot; the last one when left out.
    #[serde(default)]
    snapshot: Option<String>,
    /// The index that it is of, if not of that name.
    #[serde(default)]
    from: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("the store: {error}"))
    }
}

/// The service, and the store that keeps snapshots of its indexes.
#[derive(Clone)]
pub struct Snapshots {
    service: Arc<Service>,
    store: Arc<Store>,
}

/// The key of a part of a snapshot. Names of indexes and snapshots hold no
/// slash.
fn key(index: &str, rest: &str) -> Result<Key, Failure> {
    Ok(Key::parse(format!("vectors/{index}/{rest}"))?)
}

/// Refuses what cannot be a snapshot's name.
fn check_name(snapshot: &str) -> Result<(), Failure> {
    match uuid::Uuid::try_parse(snapshot) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            format!("{snapshot:?} is not the name of a snapshot"),
        )),
    }
}

impl Snapshots {
    pub fn new(service: Arc<Service>, store: Arc<Store>) -> Self {
        Self { service, store }
    }

    /// Takes a snapshot of an index and stores it. It is finished even when
    /// nobody waits for it any more.
    pub async fn take(&self, index: String) -> Result<Listing, Failure> {
        let all = self.clone();
        finished(tokio::spawn(async move { all.take_all(&index).await })).await
    }

    async fn take_all(&self, index: &str) -> Result<Listing, Failure> {
        let service = Arc::clone(&self.service);
        let name = index.to_owned();
        let taken = tokio::task::spawn_blocking(move || Ok(service.snapshot(&name)?));
        let taken = finished(taken).await?;
        let mut listing = Listing {
            version: VERSION,
            snapshot: uuid::Uuid::now_v7().to_string(),
            index: index.to_owned(),
            dimension: taken.info.dimension,
            distance: taken.info.distance,
            count: taken.info.count,
            bytes: taken.files.iter().map(|file| file.bytes).sum(),
            taken_at: now(),
            files: Vec::new(),
        };
        if let Err(failure) = self.send_all(&taken, &mut listing).await {
            // Without the listing they are no snapshot; they need not stay.
            self.remove_files(&listing, &taken).await;
            return Err(failure);
        }
        Ok(listing)
    }

    async fn send_all(&self, taken: &Snapshot, listing: &mut Listing) -> Result<(), Failure> {
        let snapshot = listing.snapshot.clone();
        for file in &taken.files {
            let key = key(&listing.index, &format!("{snapshot}/{}", file.name))?;
            listing.files.push(File {
                name: file.name.clone(),
                bytes: file.bytes,
                crc32c: self.send(&key, file).await?,
            });
        }
        let key = key(&listing.index, &format!("{snapshot}/{LISTING}"))?;
        let json = serde_json::to_vec(listing).map_err(|e| Failure::internal(e.to_string()))?;
        self.store.put(&key, json, Mode::Create).await?;
        Ok(())
    }

    /// Sends one file; returns its checksum.
    async fn send(&self, key: &Key, file: &SnapshotFile) -> Result<u32, Failure> {
        let failed = |error: std::io::Error| {
            Failure::internal(format!("reading {}: {error}", file.path.display()))
        };
        let open = tokio::fs::File::open(&file.path).await.map_err(failed)?;
        let mut rest = open.take(file.bytes);
        let mut upload = self.store.upload(key, Mode::Create).await?;
        let (mut sent, mut crc) = (0, 0);
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut part = (&mut rest).take(CHUNK as u64);
            if part.read_to_end(&mut chunk).await.map_err(failed)? == 0 {
                break;
            }
            crc = crc32c::crc32c_append(crc, &chunk);
            sent += chunk.len() as u64;
            upload.write(Bytes::from(chunk)).await?;
        }
        if sent != file.bytes {
            return Err(Failure::internal(format!(
                "{} has {sent} bytes, not {}",
                file.path.display(),
                file.bytes
            )));
        }
        upload.finish().await?;
        Ok(crc)
    }

    async fn remove_files(&self, listing: &Listing, taken: &Snapshot) {
        for file in &taken.files {
            let path = format!("{}/{}", listing.snapshot, file.name);
            let Ok(key) = key(&listing.index, &path) else {
                continue;
            };
            if let Err(error) = self.store.delete(&key).await {
                tracing::warn!(key = key.as_str(), %error, "a part of a failed snapshot stays");
            }
        }
    }

    /// All snapshots of an index, the oldest first.
    pub async fn list(&self, index: &str) -> Result<Vec<Listing>, Failure> {
        check_index(index)?;
        let mut listings = Vec::new();
        let mut request = ListRequest {
            prefix: format!("vectors/{index}/"),
            delimiter: Some("/".to_owned()),
            cursor: None,
            limit: MAX_PAGE,
        };
        loop {
            let page = self.store.list(&request).await?;
            for prefix in &page.prefixes {
                let name = prefix.strip_prefix(&request.prefix);
                let name = name.and_then(|name| name.strip_suffix('/'));
                match self.listing(index, name.unwrap_or_default()).await {
                    Ok(listing) => listings.push(listing),
                    Err(failure) if failure.is_not_found() => {}
                    Err(failure) => return Err(failure),
                }
            }
            if page.cursor.is_none() {
                return Ok(listings);
            }
            request.cursor = page.cursor;
        }
    }

    async fn listing(&self, index: &str, snapshot: &str) -> Result<Listing, Failure> {
        let key = key(index, &format!("{snapshot}/{LISTING}"))?;
        let (_, json) = self.store.get(&key).await?;
        let damaged =
            |why: String| Failure::internal(format!("{} is damaged: {why}", key.as_str()));
        let listing: Listing = serde_json::from_slice(&json).map_err(|e| damaged(e.to_string()))?;
        if listing.version != VERSION {
            return Err(damaged(format!(
                "version {}, this build reads {VERSION}",
                listing.version
            )));
        }
        Ok(listing)
    }

    /// Removes a snapshot; one that is not there is no error.
    pub async fn remove(&self, index: &str, snapshot: &str) -> Result<(), Failure> {
        check_index(index)?;
        check_name(snapshot)?;
        let listing = match self.listing(index, snapshot).await {
            Ok(listing) => listing,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        // First what makes it one.
        self.store
            .delete(&key(index, &format!("{snapshot}/{LISTING}"))?)
            .await?;
        for file in listing.files {
            let key = key(index, &format!("{snapshot}/{}", file.name))?;
            self.store.delete(&key).await?;
        }
        Ok(())
    }

    /// Makes an index of a snapshot. It is finished even when nobody waits
    /// for it any more.
    pub async fn restore(&self, index: String, wanted: Wanted) -> Result<IndexInfo, Failure> {
        let all = self.clone();
        finished(tokio::spawn(async move {
            all.restore_all(&index, wanted).await
        }))
        .await
    }

    async fn restore_all(&self, index: &str, wanted: Wanted) -> Result<IndexInfo, Failure> {
        let from = wanted.from.as_deref().unwrap_or(index);
        check_index(from)?;
        let name = index.to_owned();
        let service = Arc::clone(&self.service);
        let begun = tokio::task::spawn_blocking(move || Ok(service.begin_restore(&name)?));
        let restore = finished(begun).await?;
        let none = |what: String| Failure::new(StatusCode::NOT_FOUND, what);
        let listing = match &wanted.snapshot {
            Some(snapshot) => {
                check_name(snapshot)?;
                let found = self.listing(from, snapshot).await;
                found.map_err(|failure| match failure.is_not_found() {
                    true => none(format!("index {from} has no snapshot {snapshot}")),
                    false => failure,
                })?
            }
            None => {
                let last = self.list(from).await?.pop();
                last.ok_or_else(|| none(format!("index {from} has no snapshot")))?
            }
        };
        for file in &listing.files {
            let path = format!("{}/{}", listing.snapshot, file.name);
            self.fetch(&key(from, &path)?, file, &restore).await?;
        }
        let service = Arc::clone(&self.service);
        let made = tokio::task::spawn_blocking(move || Ok(service.finish_restore(&restore)?));
        finished(made).await
    }

    /// Fetches one file.
    async fn fetch(&self, key: &Key, file: &File, restore: &Restore) -> Result<(), Failure> {
        let path = restore.file(&file.name)?;
        let failed = |error: std::io::Error| {
            let full = error.kind() == std::io::ErrorKind::StorageFull;
            let detail = format!("writing {}: {error}", path.display());
            match full {
                true => Failure::new(StatusCode::INSUFFICIENT_STORAGE, detail),
                false => Failure::internal(detail),
            }
        };
        let damaged = |what: &str| {
            Failure::internal(format!("{} in the store is damaged: {what}", key.as_str()))
        };
        let opened = self.store.open_object(key, None).await;
        let (_, mut reader) = opened.map_err(|error| match error.kind() {
            Kind::NotFound => damaged("it is missing"),
            _ => Failure::from(error),
        })?;
        let mut out = tokio::fs::File::create(&path).await.map_err(failed)?;
        let (mut bytes, mut crc) = (0, 0);
        while let Some(chunk) = reader.next().await? {
            crc = crc32c::crc32c_append(crc, &chunk);
            bytes += chunk.len() as u64;
            out.write_all(&chunk).await.map_err(failed)?;
        }
        out.flush().await.map_err(failed)?;
        if bytes != file.bytes {
            return Err(damaged(&format!("{bytes} bytes, not {}", file.bytes)));
        }
        if crc != file.crc32c {
            return Err(damaged("bad checksum"));
        }
        Ok(())
    }
}

/// Refuses an index name that would lead elsewhere in the store.
fn check_index(name: &str) -> Result<(), Failure> {
    Ok(lakehouse_vectord::check_name(name)?)
}

async fn finished<T>(task: tokio::task::JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    task.await
        .unwrap_or_else(|error| Err(Failure::internal(error.to_string())))
}
