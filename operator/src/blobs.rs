//! Files by digest. Owns where they lie and that their content is what their name says; knows nothing of models.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use protocol::id::Digest;

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} is not in the store")]
    NotFound { digest: Digest },
    #[error("digest mismatch: {expected} was promised, the bytes have {actual}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("larger than the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("reading what to store: {0}")]
    Source(String),
    #[error("blob store: {0}")]
    Store(#[from] object_store::Error),
    #[error("blob folder {folder}: {source}")]
    Folder { folder: String, source: std::io::Error },
}

#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

/// Bytes of one blob, or of a range of it.
pub struct BlobRead {
    /// Of the whole blob.
    pub size: u64,
    pub range: Range<u64>,
    pub stream: BoxStream<'static, Result<Bytes, BlobError>>,
}

impl Blobs {
    /// A local folder; made if it isn't there.
    pub fn in_folder(folder: &Path) -> Result<Self, BlobError> {
        let error = |source| BlobError::Folder {
            folder: folder.display().to_string(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(error)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
        })
    }

    /// Path on the operator's HTTP address.
    pub fn url(digest: &Digest) -> String {
        format!("/blobs/sha256/{}", digest.as_str())
    }

    /// Stores bytes under their digest; storing them again changes nothing.
    pub async fn put(&self, bytes: impl Into<Bytes> + Send) -> Result<Digest, BlobError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        if !self.exists(&digest).await? {
            self.store.put(&location(&digest), bytes.into()).await?;
        }
        Ok(digest)
    }

    /// Stores bytes that were promised to have this digest.
    pub async fn put_expected(
        &self,
        bytes: impl Into<Bytes> + Send,
        expected: &Digest,
    ) -> Result<(), BlobError> {
        let bytes = bytes.into();
        let actual = Digest::of(&bytes);
        if actual != *expected {
            return Err(BlobError::DigestMismatch {
                expected: expected.clone(),
                actual,
            });
        }
        self.put(bytes).await?;
        Ok(())
    }

    /// Stores a stream without holding it in memory; with `expected`, only if it has that digest.
    pub async fn put_stream<E: std::fmt::Display>(
        &self,
        source: impl Stream<Item = Result<Bytes, E>> + Send,
        limit: u64,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64), BlobError> {
        let incoming = Location::from(format!("incoming/{}", uuid::Uuid::new_v4()));
        let mut upload = WriteMultipart::new(self.store.put_multipart(&incoming).await?);
        let written = write_all(&mut upload, source, limit).await;
        let (digest, size) = match written {
            Ok(written) => {
                upload.finish().await?;
                written
            }
            Err(error) => {
                upload.abort().await?;
                return Err(error);
            }
        };
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            self.store.delete(&incoming).await?;
            return Err(BlobError::DigestMismatch {
                expected: expected.clone(),
                actual: digest,
            });
        }
        self.store.rename(&incoming, &location(&digest)).await?;
        Ok((digest, size))
    }

    pub async fn get(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        let got = self
            .store
            .get(&location(digest))
            .await
            .map_err(|e| error_of(digest, e))?;
        Ok(got.bytes().await?)
    }

    /// `range` may end after the blob's end.
    pub async fn get_range(&self, digest: &Digest, range: Option<Range<u64>>) -> Result<BlobRead, BlobError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let got = self
            .store
            .get_opts(&location(digest), options)
            .await
            .map_err(|e| error_of(digest, e))?;
        Ok(BlobRead {
            size: got.meta.size,
            range: got.range.clone(),
            stream: got.into_stream().map_err(BlobError::from).boxed(),
        })
    }

    /// None: not in the store.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match self.store.head(&location(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn exists(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.size(digest).await?.is_some())
    }

    /// Deleting what isn't there is fine.
    pub async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        match self.store.delete(&location(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn write_all<E: std::fmt::Display>(
    upload: &mut WriteMultipart,
    source: impl Stream<Item = Result<Bytes, E>> + Send,
    limit: u64,
) -> Result<(Digest, u64), BlobError> {
    use sha2::Digest as _;
    let mut source = std::pin::pin!(source);
    let (mut hash, mut size) = (sha2::Sha256::new(), 0);
    while let Some(chunk) = source.next().await {
        let chunk = chunk.map_err(|e| BlobError::Source(e.to_string()))?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(BlobError::TooLarge { limit });
        }
        hash.update(&chunk);
        upload.wait_for_capacity(4).await?;
        upload.put(chunk);
    }
    let digest = hex::encode(hash.finalize())
        .parse()
        .map_err(|e| BlobError::Source(format!("{e}")))?;
    Ok((digest, size))
}

fn location(digest: &Digest) -> Location {
    Location::from(format!("sha256/{}", digest.as_str()))
}

fn error_of(digest: &Digest, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::NotFound {
            digest: digest.clone(),
        },
        error => error.into(),
    }
}

impl std::fmt::Debug for BlobRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobRead")
            .field("size", &self.size)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn chunks(parts: &[&'static [u8]]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        stream::iter(
            parts
                .iter()
                .map(|p| Ok(Bytes::from_static(p)))
                .collect::<Vec<_>>(),
        )
    }

    #[tokio::test]
    async fn keeps_only_what_has_the_promised_digest() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(folder.path()).unwrap();
        let digest = blobs.put(&b"hello"[..]).await.unwrap();
        assert_eq!(blobs.put(&b"hello"[..]).await.unwrap(), digest);
        assert_eq!(blobs.get(&digest).await.unwrap(), "hello");
        let other = Digest::of(b"other");
        assert!(matches!(
            blobs.put_expected(&b"hello"[..], &other).await,
            Err(BlobError::DigestMismatch { .. })
        ));
        let streamed = blobs
            .put_stream(chunks(&[b"hel", b"lo, you"]), 100, None)
            .await
            .unwrap();
        assert_eq!(streamed, (Digest::of(b"hello, you"), 10));
        assert!(
            blobs
                .put_stream(chunks(&[b"hello"]), 100, Some(&other))
                .await
                .is_err()
        );
        assert!(matches!(
            blobs.put_stream(chunks(&[b"hello", b"you"]), 6, None).await,
            Err(BlobError::TooLarge { limit: 6 })
        ));
        assert!(!blobs.exists(&other).await.unwrap());
        assert!(matches!(blobs.get(&other).await, Err(BlobError::NotFound { .. })));
        blobs.delete(&digest).await.unwrap();
        blobs.delete(&digest).await.unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path().join("incoming"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
