//! Terminals, their tickets, and what the audit log tells of them.

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, advance, sleep},
};

use super::*;
use crate::{
    audit::AuditAction,
    engine::{Engine, ExecSpec, TerminalSize},
    store::Record,
    terminals::{Cause, Ending, LONGEST, MAX_OPEN_OF_INSTANCE, Said, TerminalOrder},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The caller's side of a terminal.
struct Client {
    say: mpsc::Sender<Said>,
    shown: mpsc::Receiver<Bytes>,
    ended: JoinHandle<Ending>,
}

impl Client {
    async fn types(&self, text: &'static str) {
        let said = Said::Input(Bytes::from_static(text.as_bytes()));
        self.say.send(said).await.unwrap();
    }

    /// All that is still shown.
    async fn sees(&mut self) -> String {
        let mut seen = Vec::new();
        while let Some(piece) = self.shown.recv().await {
            seen.extend_from_slice(&piece);
        }
        String::from_utf8(seen).unwrap()
    }
}

impl World {
    /// One with an instance that runs.
    async fn running() -> (Self, String) {
        let world = Self::new().await;
        let id = world.launcher.launch(options("app", &[])).await.unwrap();
        (world, id)
    }

    fn ticket(&self, id: &str, command: &[&str]) -> Result<String, Error> {
        let order = TerminalOrder {
            instance: id.to_owned(),
            replica: None,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            tty: Some(TerminalSize { cols: 80, rows: 24 }),
            peer: Some("10.1.2.3".into()),
        };
        let offered = self.launcher.terminals().offer(order);
        offered.map(|(ticket, _)| ticket)
    }

    fn open(&self, id: &str, command: &[&str]) -> Client {
        let ticket = self.ticket(id, command).unwrap();
        let admitted = self.launcher.terminals().admit(&ticket).unwrap();
        let (say, heard) = mpsc::channel(1);
        let (show, shown) = mpsc::channel(1);
        let ended = tokio::spawn(async move { admitted.run(heard, show).await });
        Client { say, shown, ended }
    }

    async fn program_runs(&self) {
        self.until("a program runs", |w| w.engine.programs().len() == 1)
            .await;
    }

    /// The only entry of the audit log.
    fn entry(&self) -> AuditEntry {
        let audit = self.heard.audit.lock();
        assert_eq!(audit.len(), 1, "{audit:?}");
        audit[0].clone()
    }

    async fn stored_entry(&self) -> AuditEntry {
        let store: &dyn Store = &*self.store;
        store.get(&self.entry().id).await.unwrap().unwrap()
    }
}

fn ending(exit_code: i64, cause: Cause) -> Ending {
    Ending {
        exit_code: Some(exit_code),
        cause,
    }
}

#[tokio::test]
async fn a_program_is_run_talked_with_and_told_of() {
    let (world, id) = World::running().await;
    let mut client = world.open(&id, &["sh", "-c", "read x; stty size"]);
    let size = TerminalSize {
        cols: 132,
        rows: 43,
    };
    client.say.send(Said::Size(size)).await.unwrap();
    client.types("\n").await;
    assert_eq!(client.sees().await, "43 132\n");
    assert_eq!(client.ended.await.unwrap(), ending(0, Cause::Exited));
    let entry = world.entry();
    assert_eq!(entry, world.stored_entry().await);
    let expected = AuditEntry {
        id: entry.id.clone(),
        action: AuditAction::Exec,
        instance: id,
        container: world.container(),
        peer: Some("10.1.2.3".into()),
        command: ["sh", "-c", "read x; stty size"]
            .map(str::to_owned)
            .to_vec(),
        started_at: entry.started_at,
        ended_at: entry.ended_at,
        exit_code: Some(0),
        reason: Some("the program ended".into()),
    };
    assert_eq!(entry, expected);
    assert!(entry.ended_at.is_some());
}

#[tokio::test]
async fn input_has_an_end() {
    let (world, id) = World::running().await;
    let mut client = world.open(&id, &["cat"]);
    client.types("one ").await;
    client.types("two").await;
    client.say.send(Said::EndOfInput).await.unwrap();
    assert_eq!(client.sees().await, "one two");
    assert_eq!(client.ended.await.unwrap(), ending(0, Cause::Exited));
}

#[tokio::test]
async fn secrets_in_a_command_are_not_written_down() {
    let (world, id) = World::running().await;
    let mut client = world.open(&id, &["echo", "mongodb://u:hunter2@db/app"]);
    assert_eq!(client.sees().await, "mongodb://u:hunter2@db/app\n");
    client.ended.await.unwrap();
    assert_eq!(world.entry().command[1], "mongodb://u:********@db/app");
    assert_eq!(world.stored_entry().await, world.entry());
}

#[tokio::test]
async fn a_program_ends_when_its_caller_leaves() {
    let (world, id) = World::running().await;
    for command in [["sleep", "600"].as_slice(), &["yes"]] {
        let client = world.open(&id, command);
        world.program_runs().await;
        assert_eq!(world.heard.audit.lock().last().unwrap().1.ended_at, None);
        drop(client.say);
        assert_eq!(client.ended.await.unwrap(), ending(137, Cause::Left));
        assert!(world.engine.programs().is_empty());
        let audit = world.heard.audit.lock();
        assert_eq!(
            audit.last().unwrap().1.reason.as_deref(),
            Some("the caller left")
        );
    }
}

#[tokio::test]
async fn a_terminal_ends_with_its_container() {
    let (world, id) = World::running().await;
    let client = world.open(&id, &["sleep", "600"]);
    world.program_runs().await;
    world.engine.vanish(&world.container(), false);
    assert_eq!(
        client.ended.await.unwrap(),
        ending(137, Cause::ContainerEnded)
    );
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_good_once_and_soon() {
    let (world, id) = World::running().await;
    let terminals = world.launcher.terminals();
    assert!(terminals.admit("").is_none() && !terminals.is_good("guess"));
    let ticket = world.ticket(&id, &["cat"]).unwrap();
    assert!(terminals.is_good(&ticket));
    assert!(terminals.admit(&ticket).is_some());
    assert!(terminals.admit(&ticket).is_none() && !terminals.is_good(&ticket));
    let ticket = world.ticket(&id, &["cat"]).unwrap();
    advance(Duration::from_secs(29)).await;
    assert!(terminals.is_good(&ticket));
    advance(Duration::from_secs(1)).await;
    assert!(terminals.admit(&ticket).is_none() && !terminals.is_good(&ticket));
}

#[tokio::test]
async fn there_are_terminals_only_in_containers_that_run() {
    let (world, id) = World::running().await;
    let unknown = world.ticket("nobody", &["cat"]);
    assert!(matches!(unknown, Err(Error::NoSuchInstance(_))));
    let ticket = world.ticket(&id, &["cat"]).unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    let refused = world.ticket(&id, &["cat"]);
    assert!(matches!(refused, Err(Error::DoesNotRun(_))));
    let admitted = world.launcher.terminals().admit(&ticket).unwrap();
    let (show, _shown) = mpsc::channel(1);
    let (_say, heard) = mpsc::channel(1);
    let ended = admitted.run(heard, show).await;
    let why = format!("The app instance with ID {id} does not run");
    assert_eq!(ended.cause, Cause::Failed(why));
    assert!(world.heard.audit.lock().is_empty(), "nothing was run");
}

#[tokio::test(start_paused = true)]
async fn a_terminal_in_which_nothing_is_said_is_closed() {
    let (world, id) = World::running().await;
    let mut client = world.open(&id, &["cat"]);
    let opened = Instant::now();
    for _ in 0..3 {
        sleep(14 * MINUTE).await;
        client.types("x").await;
        assert_eq!(client.shown.recv().await.unwrap(), "x");
    }
    let ended = client.ended.await.unwrap();
    assert_eq!(ended, ending(137, Cause::Idle(15 * MINUTE)));
    assert!(opened.elapsed() >= 57 * MINUTE && opened.elapsed() < 58 * MINUTE);
    let reason = "nothing was typed and nothing shown for 15 minutes";
    assert_eq!(world.entry().reason.unwrap(), reason);
    assert!(world.engine.programs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_who_reads_nothing_keeps_a_terminal_open() {
    let (world, id) = World::running().await;
    let client = world.open(&id, &["yes"]);
    let ended = client.ended.await.unwrap();
    assert_eq!(ended, ending(137, Cause::Idle(15 * MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_is_closed_after_eight_hours() {
    let (world, id) = World::running().await;
    let Client {
        say,
        mut shown,
        mut ended,
    } = world.open(&id, &["cat"]);
    let opened = Instant::now();
    let typing = async {
        loop {
            sleep(10 * MINUTE).await;
            let said = Said::Input(Bytes::from_static(b"x"));
            say.send(said).await.unwrap();
            shown.recv().await;
        }
    };
    let ended = tokio::select! {
        ended = &mut ended => ended.unwrap(),
        () = typing => unreachable!(),
    };
    assert_eq!(ended, ending(137, Cause::TooLong));
    assert!(opened.elapsed() >= LONGEST);
}

#[tokio::test]
async fn there_are_only_so_many() {
    let (world, id) = World::running().await;
    let late = world.ticket(&id, &["cat"]).unwrap();
    let clients: Vec<Client> = (0..MAX_OPEN_OF_INSTANCE)
        .map(|_| world.open(&id, &["cat"]))
        .collect();
    let refused = world.ticket(&id, &["cat"]);
    assert!(matches!(refused, Err(Error::TooManyTerminals(10))));
    let admitted = world.launcher.terminals().admit(&late).unwrap();
    let (show, _shown) = mpsc::channel(1);
    let (_say, heard) = mpsc::channel(1);
    let ended = admitted.run(heard, show).await;
    assert!(matches!(ended.cause, Cause::Failed(why) if why.contains("10 terminals")));
    drop(admitted);
    for client in clients {
        drop(client.say);
        client.ended.await.unwrap();
    }
    assert!(world.ticket(&id, &["cat"]).is_ok());
}

#[tokio::test]
async fn terminals_end_with_the_launcher() {
    let (world, id) = World::running().await;
    let client = world.open(&id, &["sleep", "600"]);
    world.program_runs().await;
    let ticket = world.ticket(&id, &["cat"]).unwrap();
    let terminals = world.launcher.terminals();
    terminals.stop();
    terminals.closed().await;
    assert!(world.engine.programs().is_empty());
    assert_eq!(client.ended.await.unwrap(), ending(137, Cause::Stopping));
    assert!(matches!(
        world.ticket(&id, &["cat"]),
        Err(Error::ShuttingDown)
    ));
    assert!(terminals.admit(&ticket).is_none());
}

#[tokio::test]
async fn what_a_launcher_left_is_ended_by_the_next() {
    let (world, id) = World::running().await;
    let container = world.container();
    let open = AuditEntry {
        id: "mark".into(),
        action: AuditAction::Exec,
        instance: id,
        container: container.clone(),
        peer: None,
        command: vec!["cat".into()],
        started_at: jiff::Timestamp::now(),
        ended_at: None,
        exit_code: None,
        reason: None,
    };
    let store: &dyn Store = &*world.store;
    store.put(&open).await.unwrap();
    let spec = ExecSpec {
        command: vec!["sleep".into(), "600".into()],
        tty: None,
        mark: open.id().to_owned(),
    };
    let left = world.engine.exec(&container, &spec).await.unwrap();
    let world = world.restarted().await;
    world
        .until("the entry is finished", |w| w.entry().ended_at.is_some())
        .await;
    assert_eq!(world.entry().reason.unwrap(), "the launcher ended");
    world
        .until("its program is ended", |w| w.engine.programs().is_empty())
        .await;
    drop(left);
}

#[tokio::test]
async fn why_a_program_could_not_be_run_is_told() {
    let (world, id) = World::running().await;
    world.engine.fail("exec");
    let client = world.open(&id, &["cat"]);
    let ended = client.ended.await.unwrap();
    let expected = Cause::Failed("exec was told to fail".into());
    assert_eq!(ended.cause, expected);
    assert_eq!(world.entry().reason.unwrap(), expected.to_string());
    assert!(world.entry().ended_at.is_some());
}
