//! Archives that are read while they come.

use super::kit::{Tar, context, gzip, options, prepare};
use crate::source::arriving::{Archive, Arriving};
use crate::source::{Limits, Options, Prepared, Reading, SourceError};

async fn begin(options: Options) -> (Arriving, Reading) {
    let directory = tempfile::tempdir().unwrap();
    let (archive, end) = Archive::arriving(directory.path()).await.unwrap();
    (end, Reading::begin(archive, options))
}

async fn read_in(pieces: &[&[u8]], options: Options) -> Result<Prepared, SourceError> {
    let (end, reading) = begin(options).await;
    for piece in pieces {
        end.append(piece).unwrap();
    }
    end.finish();
    reading.prepared().await
}

/// The second part comes when the first has been read and does not suffice.
async fn read_after_waiting(first: &[u8], second: &[u8]) -> Result<Prepared, SourceError> {
    let directory = tempfile::tempdir().unwrap();
    let (archive, end) = Archive::arriving(directory.path()).await.unwrap();
    end.append(first).unwrap();
    let reading = Reading::begin(archive.clone(), options());
    while !archive.is_waited_for() && !reading.found.is_finished() {
        std::thread::yield_now();
    }
    end.append(second).unwrap();
    end.finish();
    reading.prepared().await
}

#[tokio::test]
async fn an_archive_is_the_same_however_it_comes() {
    let data = gzip(&Tar::default().bundle().build());
    let pieces: Vec<_> = data.chunks(100).collect();
    let prepared = read_in(&pieces, options()).await.unwrap();
    let whole = tokio::task::spawn_blocking(move || context(prepare(&data).unwrap()));
    let came = tokio::task::spawn_blocking(|| context(prepared));
    assert!(came.await.unwrap() == whole.await.unwrap());
}

#[tokio::test]
async fn the_size_of_all_of_it_counts_against_a_bomb() {
    let zeros = gzip(&vec![0; 70 * 1024 * 1024]);
    let tar = Tar::default().file("Dockerfile", "FROM scratch\n").build();
    let mut bomb = gzip(&tar);
    bomb.extend(zeros);
    let limits = Limits::default();
    let needed = 71 * 1024 * 1024 / limits.ratio;
    // Gzip members of nothing, so that only the packed size grows.
    let nothing = gzip(b"").repeat(needed as usize / gzip(b"").len());
    let taken = read_after_waiting(&bomb, &nothing).await;
    assert!(taken.is_ok(), "{:?}", taken.err());

    let refused = read_after_waiting(&bomb, &nothing[..1000]).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("like an archive bomb"), "{error}");
}

#[tokio::test]
async fn nothing_is_made_of_an_archive_whose_rest_never_comes() {
    let (end, reading) = begin(options()).await;
    end.append(&Tar::default().bundle().build()).unwrap();
    drop(end);
    let outcome = reading.prepared().await;
    assert!(matches!(outcome, Err(SourceError::Cancelled)));
}

#[tokio::test]
async fn work_that_nobody_waits_for_is_given_up() {
    let (end, reading) = begin(options()).await;
    let Reading { found, cancel, .. } = reading;
    drop(cancel);
    end.append(&Tar::default().bundle().build()).unwrap();
    end.finish();
    let outcome = found.await.unwrap();
    assert!(matches!(outcome, Err(SourceError::Cancelled)));
}
