use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Builds, Outcome, Progress};
use crate::{
    Build, BuildKind, BuildLog, BuildStatus, Change, Error, ImageName, Observer,
    store::{MemoryStore, Store},
};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Observer for Heard {
    fn changed(&self, change: Change<'_>) {
        match change {
            Change::Build(_, build) => {
                let said = build.map_or("gone", |build| build.status.as_str());
                self.0.lock().push(said.to_owned());
            }
            Change::Log(_, lines) => {
                let said = lines
                    .iter()
                    .map(|line| format!("{} {}", line.number, line.text));
                self.0.lock().extend(said);
            }
            _ => {}
        }
    }
}

fn builds() -> (Builds, Arc<Heard>, Arc<dyn Store>) {
    let heard = Arc::new(Heard::default());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let builds = Builds::new(Arc::clone(&store), Arc::clone(&heard) as Arc<dyn Observer>);
    (builds, heard, store)
}

/// For other tests: work of which nobody hears.
pub(super) fn begin_unheard() -> Arc<Progress> {
    let (builds, _, _) = builds();
    builds.begin(BuildKind::Build, &name(), None).unwrap()
}

fn name() -> ImageName {
    ImageName::parse("app").unwrap()
}

#[tokio::test]
async fn every_status_is_told_in_order_and_the_log_before_the_end() {
    let (builds, heard, _) = builds();
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    progress.enter(BuildStatus::Downloading);
    progress.enter(BuildStatus::Preparing);
    progress.enter(BuildStatus::Building);
    progress.say("one\ntw");
    progress.say("o\r\nthree");
    builds
        .end(&progress, Outcome::Succeeded(Some("sha256:1".into())))
        .await;
    let expected = [
        "queued",
        "downloading",
        "preparing",
        "building",
        "1 one",
        "2 two",
        "3 three",
        "succeeded",
    ];
    assert_eq!(heard.all(), expected);
}

#[tokio::test]
async fn the_log_is_there_after_the_end() {
    let (builds, _, _) = builds();
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    progress.say_line("hello");
    builds.end(&progress, Outcome::Failed("why".into())).await;
    let log = builds.log(&progress.id()).await.unwrap();
    assert_eq!(log[0].text, "hello");
    assert!(matches!(builds.log("?").await, Err(Error::NoSuchBuild(_))));
}

#[tokio::test]
async fn what_went_on_when_the_launcher_ended_has_failed() {
    let (builds, _, store) = builds();
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    builds.record(&progress).await.unwrap();

    let heard = Arc::new(Heard::default());
    let again = Builds::new(store, Arc::clone(&heard) as Arc<dyn Observer>);
    again.load().await.unwrap();
    assert_eq!(heard.all(), ["failed"]);
}

#[tokio::test]
async fn cancelling_waits_for_the_end() {
    let (builds, _, _) = builds();
    let builds = Arc::new(builds);
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    let id = progress.id();
    let work = async {
        progress.cancelled().await;
        builds.end(&progress, Outcome::Cancelled).await;
    };
    let (cancelled, ()) = tokio::join!(builds.cancel(&id), work);
    cancelled.unwrap();
    assert_eq!(progress.build().status, BuildStatus::Cancelled);
    assert!(matches!(
        builds.cancel(&id).await,
        Err(Error::BuildIsOver(_))
    ));
}

#[derive(Default)]
struct Times(Mutex<Vec<(Instant, &'static str)>>);

impl Observer for Times {
    fn changed(&self, change: Change<'_>) {
        let what = match change {
            Change::Build(..) => "build",
            Change::Log(..) => "lines",
            _ => return,
        };
        self.0.lock().push((Instant::now(), what));
    }
}

/// Most of them in any second.
fn most_in_a_second(times: &[Instant]) -> usize {
    let second = Duration::from_secs(1);
    let from_each = times.iter().map(|from| {
        let within = |t: &&Instant| *t >= from && **t - *from < second;
        times.iter().filter(within).count()
    });
    from_each.max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_more_than_ten_times_a_second() {
    let times = Arc::new(Times::default());
    let observer = Arc::clone(&times) as Arc<dyn Observer>;
    let builds = Builds::new(Arc::new(MemoryStore::default()), observer);
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    for (round, status) in [
        BuildStatus::Downloading,
        BuildStatus::Preparing,
        BuildStatus::Building,
    ]
    .into_iter()
    .enumerate()
    {
        progress.enter(status);
        for bytes in 0..300 {
            progress.received(bytes, None);
            progress.say(&"a line of a program that says much\n".repeat(100));
            progress.place(Some(round as u32));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    builds.end(&progress, Outcome::Succeeded(None)).await;
    let told = times.0.lock();
    let of = |what| {
        told.iter()
            .filter(move |(_, w)| *w == what)
            .map(|(t, _)| *t)
    };
    let builds: Vec<Instant> = of("build").collect();
    assert!(most_in_a_second(&builds) <= 10, "{}", builds.len());
    assert!(builds.len() >= 6, "{}", builds.len());
    assert!(of("lines").count() < 200, "{}", of("lines").count());
}

#[tokio::test]
async fn the_log_of_a_launcher_that_was_killed_is_there() {
    let (builds, _, store) = builds();
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    progress.say_line("said before it was killed");
    progress.enter(BuildStatus::Preparing);
    let id = progress.id();
    let written = async {
        while store.get::<BuildLog>(&id).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        never = builds.keep_written(&progress) => match never {},
        () = written => {}
    }

    let again = Builds::new(store, Arc::new(Heard::default()));
    again.load().await.unwrap();
    assert_eq!(
        again.log(&id).await.unwrap()[0].text,
        "said before it was killed"
    );
}

#[tokio::test]
async fn at_the_end_of_the_launcher_builds_have_failed() {
    let (builds, heard, _) = builds();
    let progress = builds.begin(BuildKind::Build, &name(), None).unwrap();
    let work = async {
        progress.cancelled().await;
        builds.end(&progress, Outcome::Cancelled).await;
    };
    tokio::join!(builds.end_all(), work);
    assert_eq!(heard.all(), ["queued", "failed"]);
    assert!(matches!(
        builds.begin(BuildKind::Build, &name(), None),
        Err(Error::ShuttingDown)
    ));
}

#[tokio::test]
async fn pulls_that_are_tried_again_and_again_push_out_nothing() {
    let (builds, _, store) = builds();
    let end = async |kind, image: &str, outcome| {
        let image = ImageName::parse(image).unwrap();
        let progress = builds.begin(kind, &image, None).unwrap();
        builds.end(&progress, outcome).await;
        progress.id()
    };
    let asked_for = end(BuildKind::Build, "app", Outcome::Failed("why".into())).await;
    for number in 0..300 {
        let image = format!("gone{}", number % 60);
        let failed = Outcome::Failed("away".into());
        end(BuildKind::Pull, &image, failed).await;
    }
    let mut newest = String::new();
    for _ in 0..10 {
        let failed = Outcome::Failed("away".into());
        newest = end(BuildKind::Pull, "gone", failed).await;
    }
    let known: Vec<Build> = store.all().await.unwrap();
    assert!(known.iter().any(|build| build.id == asked_for));
    assert!(known.iter().any(|build| build.id == newest));
    let of_one = known.iter().filter(|build| build.image.as_str() == "gone");
    assert_eq!(of_one.count(), 3);
    assert_eq!(known.len(), 51);
}
