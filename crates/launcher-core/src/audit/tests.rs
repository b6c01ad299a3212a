use indexmap::IndexMap;
use parking_lot::Mutex;

use super::*;
use crate::store::MemoryStore;

#[derive(Default)]
struct Heard(Mutex<IndexMap<String, AuditEntry>>);

impl Observer for Heard {
    fn changed(&self, change: Change<'_>) {
        if let Change::Audit(id, entry) = change {
            match entry {
                Some(entry) => drop(self.0.lock().insert(id.to_owned(), entry.clone())),
                None => drop(self.0.lock().shift_remove(id)),
            }
        }
    }
}

impl Heard {
    fn ids(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }
}

fn entry(id: &str) -> AuditEntry {
    AuditEntry {
        id: id.to_owned(),
        action: AuditAction::Exec,
        instance: "i".into(),
        container: "c".into(),
        peer: None,
        command: vec!["sh".into()],
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        exit_code: None,
        reason: None,
    }
}

fn log(store: &Arc<MemoryStore>, max: usize) -> (AuditLog, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let store = Arc::clone(store) as Arc<dyn Store>;
    let observer = Arc::clone(&heard) as Arc<dyn Observer>;
    (AuditLog::with_room(store, observer, max), heard)
}

#[tokio::test]
async fn the_newest_are_kept_and_told_of_also_by_the_next_launcher() {
    let store = Arc::default();
    let (first, heard) = log(&store, 3);
    for id in ["a", "b", "c", "d", "e"] {
        first.add(&entry(id)).await.unwrap();
    }
    assert_eq!(heard.ids(), ["c", "d", "e"]);
    let ended = AuditEntry {
        ended_at: Some(Timestamp::UNIX_EPOCH),
        exit_code: Some(3),
        ..entry("d")
    };
    first.change(&ended).await.unwrap();
    first.change(&entry("a")).await.unwrap();
    assert_eq!(heard.0.lock()["d"], ended);
    assert_eq!(heard.ids(), ["c", "d", "e"]);

    let (second, heard) = log(&store, 3);
    let unfinished = second.load().await.unwrap();
    assert_eq!(unfinished, [entry("c"), entry("e")]);
    assert_eq!(heard.ids(), ["c", "d", "e"]);
    second.add(&entry("f")).await.unwrap();
    assert_eq!(heard.ids(), ["d", "e", "f"]);
}
