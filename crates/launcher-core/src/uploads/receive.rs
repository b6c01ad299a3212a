//! Bytes on their way from a request to an upload's file.

use std::{fs::OpenOptions, future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt, SeekFrom},
    time::timeout,
};

use super::{Progress, UploadError, UploadState, Uploads};

/// How long nothing may come.
const IDLE: Duration = Duration::from_secs(60);
/// How long one request may take; the next one goes on where it ended.
const REQUEST: Duration = Duration::from_secs(60 * 60);

/// Where a request's bytes begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// Here, which must be where the upload goes on.
    At(u64),
    /// At the beginning: they are all of it, whatever came before.
    Anew,
}

impl Uploads {
    /// Takes bytes and appends them to an upload; checks it when the last one has come. Goes on to
    /// a defined end when the caller is gone: what has arrived is on disk by then.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn receive<B, E>(
        self: &Arc<Self>,
        id: &str,
        from: Begin,
        announced: Option<u64>,
        body: B,
    ) -> Result<Progress, UploadError>
    where
        B: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Send,
    {
        let work = self.begin_work(id)?;
        let (offset, size) = (self.offset(id, from)?, self.record(id)?.size);
        if announced.is_some_and(|bytes| offset.saturating_add(bytes) > size) {
            return Err(UploadError::TooMuch(size));
        }
        if let (Begin::Anew, Some(received)) = (from, announced.filter(|bytes| *bytes < size)) {
            return Err(UploadError::Incomplete { received, size });
        }
        let (this, id) = (Arc::clone(self), id.to_owned());
        // A task of its own: a request that is dropped must not leave a write on its way when the
        // next one asks how far the upload has come.
        let task = tokio::spawn(async move {
            let _work = work;
            let end = this.write(&id, offset, size, body).await?;
            if from == Begin::Anew && end < size {
                return Err(UploadError::Incomplete {
                    received: end,
                    size,
                });
            }
            if end == size {
                this.check(&id).await?;
            }
            this.progress(&id)
        });
        task.await.unwrap_or(Err(UploadError::Stopping))
    }

    fn offset(&self, id: &str, from: Begin) -> Result<u64, UploadError> {
        let length = self.length(id)?;
        match from {
            Begin::Anew => Ok(0),
            Begin::At(offset) if offset == length => Ok(offset),
            Begin::At(_) => Err(UploadError::WrongOffset(length)),
        }
    }

    /// Writes until the body ends; returns where.
    async fn write<B, E>(
        &self,
        id: &str,
        offset: u64,
        size: u64,
        body: B,
    ) -> Result<u64, UploadError>
    where
        B: Stream<Item = Result<Bytes, E>>,
    {
        if offset < self.length(id)? {
            self.change(id, |record| record.state = UploadState::Open)
                .await?;
        }
        let mut file = self.open(id, offset).await?;
        let mut end = offset;
        let pieces = async {
            let mut body = pin!(body);
            while let Some(piece) = self.next_piece(body.next()).await? {
                end += piece.len() as u64;
                if end > size {
                    return Err(UploadError::TooMuch(size));
                }
                file.write_all(&piece).await.map_err(|e| not_written(&e))?;
            }
            Ok(())
        };
        let outcome = timeout(REQUEST, pieces).await;
        file.flush().await.map_err(|e| not_written(&e))?;
        match outcome.unwrap_or(Err(UploadError::Deadline(REQUEST))) {
            Ok(()) => {}
            Err(UploadError::TooMuch(size)) => {
                // Not one byte of such a request is believed.
                file.set_len(offset).await.map_err(|e| not_written(&e))?;
                return Err(UploadError::TooMuch(size));
            }
            Err(error) => return Err(error),
        }
        if end == size {
            file.sync_data().await.map_err(|e| not_written(&e))?;
        }
        Ok(end)
    }

    async fn next_piece<E>(
        &self,
        piece: impl Future<Output = Option<Result<Bytes, E>>>,
    ) -> Result<Option<Bytes>, UploadError> {
        let piece = tokio::select! {
            piece = timeout(IDLE, piece) => piece,
            () = self.stop.cancelled() => return Err(UploadError::Stopping),
        };
        match piece {
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(_))) => Err(UploadError::CutOff),
            Err(_) => Err(UploadError::Stalled(IDLE)),
        }
    }

    /// The file, cut to `offset`, and there.
    async fn open(&self, id: &str, offset: u64) -> Result<File, UploadError> {
        let file = OpenOptions::new().write(true).open(self.path(id));
        let file = file.and_then(|file| file.set_len(offset).map(|()| file));
        let mut file = File::from_std(file.map_err(|e| not_written(&e))?);
        file.seek(SeekFrom::Start(offset))
            .await
            .map_err(|e| not_written(&e))?;
        Ok(file)
    }
}

fn not_written(error: &std::io::Error) -> UploadError {
    UploadError::disk("the upload cannot be written", error)
}
