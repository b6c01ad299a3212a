//! Uploads, without HTTP.

use std::{convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{Announced, Begin, EXPIRY, UploadError, UploadSettings, Uploads};
use crate::{
    digest::{Digester, Sha256Digest},
    store::MemoryStore,
};

struct World {
    directory: tempfile::TempDir,
    store: Arc<MemoryStore>,
    uploads: Arc<Uploads>,
}

impl World {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), Arc::default()).await
    }

    async fn on(directory: tempfile::TempDir, store: Arc<MemoryStore>) -> Self {
        let settings = UploadSettings {
            directory: directory.path().join("uploads"),
            max_bytes: 1_000,
        };
        let uploads = Uploads::new(store.clone(), settings);
        uploads.load().await.unwrap();
        Self {
            directory,
            store,
            uploads,
        }
    }

    /// What is left when the process is gone.
    async fn restarted(self) -> Self {
        Self::on(self.directory, self.store).await
    }

    async fn announce(&self, content: &[u8]) -> Announced {
        let size = content.len() as u64;
        self.uploads.create(size, digest(content)).await.unwrap()
    }

    async fn send(&self, id: &str, offset: u64, content: &[u8]) -> Result<u64, UploadError> {
        let from = Begin::At(offset);
        let sent = self.uploads.receive(id, from, None, whole(content)).await;
        sent.map(|progress| progress.offset)
    }

    fn offset(&self, id: &str) -> u64 {
        self.uploads.progress(id).unwrap().offset
    }

    fn files(&self) -> usize {
        let directory = self.directory.path().join("uploads");
        std::fs::read_dir(directory).unwrap().count()
    }
}

fn digest(content: &[u8]) -> Sha256Digest {
    let mut digester = Digester::default();
    digester.update(content);
    digester.finish()
}

fn whole(content: &[u8]) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(content))])
}

fn cut_off(content: &[u8]) -> impl Stream<Item = Result<Bytes, io::Error>> + use<> {
    let broken = io::Error::other("reset");
    stream::iter([Ok(Bytes::copy_from_slice(content)), Err(broken)])
}

#[tokio::test]
async fn bytes_come_in_pieces_and_are_used_once() {
    let world = World::new().await;
    let upload = world.announce(b"hello world").await;
    assert_eq!(world.uploads.find(&upload.secret).unwrap(), upload.id);
    assert_eq!(world.send(&upload.id, 0, b"hello ").await.unwrap(), 6);
    let early = world.uploads.take(&upload.id).await.err().unwrap();
    assert_eq!(
        early.to_string(),
        "this upload is not complete: 6 of 11 bytes came"
    );
    assert_eq!(world.send(&upload.id, 6, b"world").await.unwrap(), 11);

    let taken = world.uploads.take(&upload.id).await.unwrap();
    assert_eq!(
        io::read_to_string(taken.file().unwrap()).unwrap(),
        "hello world"
    );
    let second = world.uploads.take(&upload.id).await;
    assert!(matches!(second, Err(UploadError::Busy)));
    drop(taken);
    let again = world.uploads.take(&upload.id).await;
    again
        .expect("a build that failed gives it back")
        .used_up()
        .await
        .unwrap();
    let used = world.uploads.take(&upload.id).await;
    assert!(matches!(used, Err(UploadError::Used)));
    assert_eq!(world.files(), 0);
    let world = world.restarted().await;
    let used = world.uploads.progress(&upload.id);
    assert!(matches!(used, Err(UploadError::Used)), "{used:?}");
}

#[tokio::test]
async fn what_came_before_the_cut_is_kept_through_a_restart() {
    let world = World::new().await;
    let upload = world.announce(b"hello world").await;
    let body = cut_off(b"hello ");
    let cut = world
        .uploads
        .receive(&upload.id, Begin::At(0), None, body)
        .await;
    assert!(matches!(cut, Err(UploadError::CutOff)), "{cut:?}");
    let world = world.restarted().await;
    assert_eq!(world.uploads.find(&upload.secret).unwrap(), upload.id);
    assert_eq!(world.offset(&upload.id), 6);
    for offset in [0, 5, 7] {
        let wrong = world.send(&upload.id, offset, b"x").await;
        assert!(
            matches!(wrong, Err(UploadError::WrongOffset(6))),
            "{wrong:?}"
        );
    }
    world.send(&upload.id, 6, b"world").await.unwrap();
    world.uploads.take(&upload.id).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_was_not_checked_before_a_crash_is_checked_later() {
    for (content, right) in [(b"hello", true), (b"wrong", false)] {
        let world = World::new().await;
        let upload = world.announce(b"hello").await;
        let path = world.directory.path().join("uploads").join(&upload.id);
        std::fs::write(path, content).unwrap();
        let world = world.restarted().await;
        assert_eq!(world.offset(&upload.id), 5);
        assert_eq!(world.uploads.take(&upload.id).await.is_ok(), right);
    }
}

#[tokio::test]
async fn other_bytes_than_announced_remove_the_upload() {
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    let wrong = world.send(&upload.id, 0, b"hullo").await;
    let found = digest(b"hullo");
    assert!(
        matches!(&wrong, Err(UploadError::Mismatch { found: f }) if *f == found),
        "{wrong:?}"
    );
    assert_eq!(world.files(), 0);
    let later = world.send(&upload.id, 0, b"hello").await;
    assert!(
        matches!(later, Err(UploadError::WasMismatched)),
        "{later:?}"
    );
    let build = world.uploads.take(&upload.id).await.err().unwrap();
    assert!(build.to_string().contains("SHA-256"), "{build}");
}

#[tokio::test]
async fn too_many_bytes_change_nothing() {
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    world.send(&upload.id, 0, b"he").await.unwrap();
    let much = world.send(&upload.id, 2, b"llo and more").await;
    assert!(matches!(much, Err(UploadError::TooMuch(5))), "{much:?}");
    let from = Begin::At(2);
    let announced = world
        .uploads
        .receive(&upload.id, from, Some(4), whole(b"x"))
        .await;
    assert!(matches!(announced, Err(UploadError::TooMuch(5))));
    assert_eq!(world.offset(&upload.id), 2);
}

#[tokio::test]
async fn a_whole_body_takes_the_place_of_what_came_before() {
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    world.send(&upload.id, 0, b"xx").await.unwrap();
    let put = |content: &[u8]| {
        world
            .uploads
            .receive(&upload.id, Begin::Anew, None, whole(content))
    };
    let short = put(b"hell").await;
    assert!(
        matches!(short, Err(UploadError::Incomplete { .. })),
        "{short:?}"
    );
    assert_eq!(put(b"hello").await.unwrap().offset, 5);
    let wrong = put(b"hullo").await;
    assert!(
        matches!(wrong, Err(UploadError::Mismatch { .. })),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn one_request_works_on_it_at_a_time_and_ends_when_the_launcher_does() {
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    let (begun, begins) = oneshot::channel();
    let first = stream::once(async move {
        begun.send(()).unwrap();
        Ok::<_, Infallible>(Bytes::from_static(b"he"))
    });
    let (uploads, id) = (Arc::clone(&world.uploads), upload.id.clone());
    let body = first.chain(stream::pending());
    let slow = tokio::spawn(async move { uploads.receive(&id, Begin::At(0), None, body).await });
    begins.await.unwrap();
    let second = world.send(&upload.id, 0, b"hello").await;
    assert!(matches!(second, Err(UploadError::Busy)), "{second:?}");
    assert!(matches!(
        world.uploads.remove(&upload.id).await,
        Err(UploadError::Busy)
    ));
    world.uploads.stop();
    let ended = slow.await.unwrap();
    assert!(matches!(ended, Err(UploadError::Stopping)), "{ended:?}");
    assert_eq!(world.offset(&upload.id), 2);
}

#[tokio::test]
async fn a_token_is_good_once_and_for_the_announced_size() {
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    let redeem = |size| world.uploads.redeem(&upload.secret, size);
    assert!(matches!(redeem(6).await, Err(UploadError::OtherSize(5))));
    assert_eq!(redeem(5).await.unwrap(), upload.id);
    assert!(matches!(redeem(5).await, Err(UploadError::TokenUsed)));
    let unknown = world.uploads.redeem("guess", 5).await;
    assert!(matches!(unknown, Err(UploadError::Unknown)));
}

#[tokio::test]
async fn there_are_limits() {
    let world = World::new().await;
    let create = |size| world.uploads.create(size, digest(b""));
    assert!(matches!(create(0).await, Err(UploadError::Empty)));
    assert!(matches!(
        create(1_001).await,
        Err(UploadError::TooLarge(1_000))
    ));
    for _ in 0..super::MAX_OPEN {
        create(1).await.unwrap();
    }
    assert!(matches!(create(1).await, Err(UploadError::TooMany(_))));
}

#[tokio::test]
async fn more_than_the_disk_has_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = UploadSettings {
        directory: directory.path().join("uploads"),
        max_bytes: u64::MAX,
    };
    let uploads = Uploads::new(Arc::<MemoryStore>::default(), settings);
    uploads.load().await.unwrap();
    let free = super::free_space(directory.path()).unwrap();
    let most = uploads.create(free / 3 * 2, digest(b"")).await;
    most.expect("there is room for one");
    let more = uploads.create(free / 3 * 2, digest(b"")).await;
    assert!(matches!(more, Err(UploadError::NoSpace(_))), "{more:?}");
}

#[tokio::test]
async fn what_is_over_or_belongs_to_nothing_is_swept() {
    let world = World::new().await;
    let directory = world.directory.path().join("uploads");
    let (kept, lost) = (world.announce(b"kept").await, world.announce(b"lost").await);
    std::fs::remove_file(directory.join(&lost.id)).unwrap();
    std::fs::write(directory.join("stranger"), "").unwrap();
    let world = world.restarted().await;
    assert!(!directory.join("stranger").exists());
    assert!(matches!(
        world.uploads.find(&lost.secret),
        Err(UploadError::Unknown)
    ));
    assert_eq!(world.uploads.find(&kept.secret).unwrap(), kept.id);

    world.send(&kept.id, 0, b"kept").await.unwrap();
    let taken = world.uploads.take(&kept.id).await.unwrap();
    let later = Timestamp::now() + EXPIRY;
    world.uploads.sweep(later).await;
    assert_eq!(world.files(), 1, "a build that has it keeps it");
    drop(taken);
    world.uploads.sweep(later).await;
    assert_eq!(world.files(), 0);
    assert!(matches!(
        world.uploads.find(&kept.secret),
        Err(UploadError::Unknown)
    ));
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let upload = world.announce(b"hello").await;
    let directory = world.directory.path().join("uploads");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.clone()), 0o700);
    assert_eq!(mode(directory.join(upload.id)), 0o600);
}
