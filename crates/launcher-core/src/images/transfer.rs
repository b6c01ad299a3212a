//! What pulls and pushes have in common: credentials, words for failures, their documents.

use std::{future::Future, sync::Arc};

use super::{Images, layers, transfers::Joined, work::Abandoned};
use crate::{
    BuildKind, Error, ImageName,
    builds::{Outcome, Progress},
    engine::{EngineError, Transfer, TransferNews, TransferOutput},
    registries::{Attempt, Refusal, Verb},
};

/// How a transfer ends without success.
pub(super) enum Ended {
    Cancelled,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Passes on what is told of a transfer as a whole.
pub(super) fn texts(output: impl Fn(&str) + Send + Sync + 'static) -> TransferOutput {
    Arc::new(move |news| {
        if let TransferNews::Text(text) = news {
            output(text);
        }
    })
}

impl Images {
    /// Joins a transfer of this kind, or begins it with a document that waits for its turn.
    pub(super) fn join_transfer<F>(
        &self,
        kind: BuildKind,
        name: &ImageName,
        work: impl FnOnce(Arc<Progress>, Abandoned) -> F,
    ) -> Result<Joined, Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let images = self.this.upgrade().ok_or(Error::ShuttingDown)?;
        let registry = name.registry().as_str().to_owned();
        let begin = || self.builds.begin(kind, name, Some(registry));
        let recorded = |progress: Arc<Progress>, abandoned| {
            let work = work(Arc::clone(&progress), abandoned);
            async move {
                if let Err(error) = images.builds.record(&progress).await {
                    let outcome = Outcome::Failed(error.to_string());
                    images.builds.end(&progress, outcome).await;
                    return Err(error.into());
                }
                work.await
            }
        };
        self.transfers.join_or_begin(kind, name, begin, recorded)
    }

    /// Carries out a transfer and tells of it through its document.
    pub(super) async fn tell_transfer(
        &self,
        verb: Verb,
        name: &ImageName,
        progress: &Arc<Progress>,
    ) -> Result<(), Ended> {
        let moved = self.transfer(verb, name, layers::telling(progress)).await;
        match moved {
            Ok(digest) => {
                progress.digest(digest);
                Ok(())
            }
            Err(Ok(refusal)) => Err(Error::NotCarriedOut(refusal.to_string()).into()),
            Err(Err(error)) => Err(error.into()),
        }
    }

    /// Carries out a transfer with the credentials of the image's registry. It fails with what the
    /// registry refused, or with the engine's own failure.
    pub(super) async fn transfer(
        &self,
        verb: Verb,
        name: &ImageName,
        output: TransferOutput,
    ) -> Result<String, Result<Refusal, EngineError>> {
        let login = self.registries.login_for(name);
        let transfer = Transfer {
            name: name.with_tag(),
            login: login.clone(),
            output,
        };
        let moved = match verb {
            Verb::Push => self.engine.push(transfer).await,
            Verb::Pull | Verb::LogIn => self.engine.pull(transfer).await,
        };
        let attempt = Attempt {
            verb,
            registry: &name.registry(),
            image: Some(name),
            username: login.as_ref().map(|login| login.username.as_str()),
        };
        let moved = moved.map_err(|error| match error {
            EngineError::Failed(text) | EngineError::NotFound(text) => Ok(attempt.refused(&text)),
            error => Err(error),
        });
        if let Some(login) = &login {
            let refusal = moved
                .as_ref()
                .err()
                .and_then(|refused| refused.as_ref().ok());
            if moved.is_ok() || refusal.is_some() {
                self.registries.note_use(login, refusal).await;
            }
        }
        moved
    }

    /// Ends the telling of a transfer; gives what those who wait for it hear.
    pub(super) async fn end_transfer(
        &self,
        name: &ImageName,
        progress: &Arc<Progress>,
        ended: Result<Option<String>, Ended>,
    ) -> Result<(), Error> {
        let (outcome, heard) = match ended {
            Ok(image) => (Outcome::Succeeded(image), Ok(())),
            Err(Ended::Cancelled) => {
                let kind = progress.build().kind.as_str();
                let heard = Error::NotCarriedOut(format!("the {kind} of {name} was cancelled"));
                (Outcome::Cancelled, Err(heard))
            }
            Err(Ended::Failed(error)) => (Outcome::Failed(error.to_string()), Err(error)),
        };
        self.builds.end(progress, outcome).await;
        heard
    }
}
