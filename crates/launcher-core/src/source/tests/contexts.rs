//! The build context that the engine gets.

use futures_util::StreamExt;

use super::kit::{Tar, context, entries, gzip, on_disk, options, prepare, prepare_file};
use crate::source::SourceError;
use crate::source::tar_reader::EntryKind;

fn rich() -> Tar {
    let long = "d/".repeat(40);
    Tar::default()
        .dir("./")
        .file("./Dockerfile", "FROM scratch\n")
        .file_with_mode("bin/run", "#!/bin/sh\n", 0o4755)
        .file_with_mode("secret", "s", 0o600)
        .dir("empty/")
        .symlink("bin/link", "../secret")
        .hardlink("twin", "./secret")
        .file(&format!("{long}file"), [9; 200_000])
        .file("empty file", "")
}

#[test]
fn a_context_holds_what_the_archive_held() {
    for data in [rich().build(), gzip(&rich().build())] {
        let context = context(prepare(&data).unwrap());
        let entries = entries(&context);
        let find = |path: &str| {
            let found = entries
                .iter()
                .find(|(entry, _)| entry.path == path.as_bytes());
            found.unwrap_or_else(|| panic!("no {path}"))
        };
        assert_eq!(find("Dockerfile").1, b"FROM scratch\n");
        assert_eq!(
            (find("bin/run").0.mode, find("bin/run").0.mtime),
            (0o755, 1_400_000_000)
        );
        assert_eq!(find("secret").0.mode, 0o600);
        assert_eq!(find("empty/").0.kind, EntryKind::Directory);
        assert_eq!(
            find("bin/link").0.kind,
            EntryKind::Symlink(b"../secret".to_vec())
        );
        assert_eq!(find("twin").0.kind, EntryKind::Hardlink(b"secret".to_vec()));
        assert_eq!(find(&("d/".repeat(40) + "file")).1, [9; 200_000]);
        assert_eq!(entries.len(), 8);
    }
}

#[test]
fn of_a_file_that_appears_again_only_the_last_one_counts() {
    let repeated = |tar: Tar, path: &str| {
        tar.file(path, "first")
            .file("other", "")
            .file(path, "second")
            .file(path, "last")
    };
    let plain = repeated(Tar::default().file("Dockerfile", "FROM scratch\n"), "a");
    let bundle = repeated(Tar::default().bundle(), "bundle/a");
    for (tar, path) in [(plain, "a"), (bundle, "bundle/a")] {
        let context = context(prepare(&tar.build()).unwrap());
        let entries = entries(&context);
        let found = entries
            .iter()
            .filter(|(entry, _)| entry.path == path.as_bytes());
        let contents: Vec<&[u8]> = found.map(|(_, content)| content.as_slice()).collect();
        assert_eq!(contents, [b"last"], "{path}");
    }
}

#[test]
fn a_context_is_an_archive_with_the_same_context() {
    let first = context(prepare(&rich().build()).unwrap());
    let second = context(prepare(&first).unwrap());
    assert!(first == second);
}

#[test]
fn a_bundle_gets_a_dockerfile_and_becomes_writable() {
    let archive = Tar::default()
        .bundle()
        .file(".dockerignore", "bundle\n")
        .dir("Dockerfile/")
        .file("beside", "")
        .file_with_mode("bundle/programs/server/x.sh", "", 0o6555);
    let context = context(prepare(&archive.build()).unwrap());
    let entries = entries(&context);
    assert_eq!(entries[0].0.path, b"Dockerfile");
    assert_eq!(entries[1].0.path, b"packages/");
    for (entry, _) in &entries[2..] {
        assert!(entry.path.starts_with(b"bundle/"), "{entry:?}");
        assert!(matches!(entry.mode, 0o644 | 0o755), "{entry:?}");
        assert_eq!(entry.mtime, 1_400_000_000);
    }
    let mode = |path: &str| {
        entries
            .iter()
            .find(|(entry, _)| entry.path == path.as_bytes())
            .map(|(entry, _)| entry.mode)
    };
    assert_eq!(mode("bundle/programs/server/x.sh"), Some(0o755));
    assert_eq!(mode("bundle/star.json"), Some(0o644));
}

#[test]
fn absurd_times_are_bounded() {
    let mut header = tar::Header::new_gnu();
    header.set_path("Dockerfile").unwrap();
    header.set_mode(0o644);
    header.set_size(0);
    header.set_mtime(u64::MAX / 2);
    let context = context(prepare(&Tar::default().header(header, b"").build()).unwrap());
    assert_eq!(entries(&context)[0].0.mtime, u64::from(u32::MAX));
}

#[tokio::test]
async fn a_dropped_stream_stops_the_work() {
    let archive = on_disk(&rich().file("large", vec![1; 8 * 1024 * 1024]).build());
    let mut stream = prepare_file(archive, &options())
        .await
        .unwrap()
        .into_stream();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    // The runtime waits for blocking work when it ends: a writer that did not stop would hang this
    // test.
}

#[tokio::test]
async fn an_archive_that_breaks_later_ends_the_stream_with_an_error() {
    let archive = on_disk(&rich().build());
    let again = archive.try_clone().unwrap();
    let prepared = prepare_file(archive, &options()).await.unwrap();
    again.set_len(1200).unwrap();
    let pieces: Vec<_> = prepared.into_stream().collect().await;
    let error = pieces.into_iter().last().unwrap().unwrap_err();
    let error = error.downcast::<SourceError>().unwrap();
    assert!(matches!(error, SourceError::CutOff), "{error}");
}
