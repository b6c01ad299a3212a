//! What every engine promises of programs that run in a container beside its own, as one test body,
//! run on the fake one and on Docker.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream::BoxStream};
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    DockerEngine, Engine, EngineError, Exec, ExecSpec, TerminalSize,
    contract::{build_image_with, spec},
    fake::FakeEngine,
};
use crate::ids::random_id;

const PATIENCE: Duration = Duration::from_secs(60);
/// An image with the tools of a small system, its shell among them.
const TOOLS: &str = "FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"/bin\"]\n\
                     CMD [\"sleep\", \"600\"]\n";

#[tokio::test]
async fn the_fake_keeps_the_contract_of_programs() {
    exec_contract(&FakeEngine::default()).await;
}

#[tokio::test]
async fn docker_keeps_the_contract_of_programs() {
    let docker = DockerEngine::new(None).unwrap();
    exec_contract(&docker).await;
}

/// One container, and programs that end in every way.
async fn exec_contract(engine: &dyn Engine) {
    let image = build_image_with(engine, TOOLS).await;
    let container = engine.create(&spec(&random_id(), &image)).await.unwrap();
    let refused = engine.exec(&container, &program(&["cat"])).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))));
    engine.start(&container).await.unwrap();

    let run = Container(engine, &container);
    run.says_and_ends().await;
    run.hears_bytes_until_their_end().await;
    run.has_a_terminal().await;
    run.is_not_there().await;
    run.is_ended().await;
    run.ends_with_its_container().await;

    engine.remove(&container).await.unwrap();
    engine.remove_image(&image).await.unwrap();
    let refused = engine.exec(&container, &program(&["cat"])).await;
    assert!(matches!(refused, Err(EngineError::NotFound(_))));
    engine.end_exec(&container, "nothing").await.unwrap();
}

struct Container<'a>(&'a dyn Engine, &'a str);

impl Container<'_> {
    async fn run(&self, spec: &ExecSpec) -> Exec {
        self.0.exec(self.1, spec).await.unwrap()
    }

    async fn says_and_ends(&self) {
        let mut echo = self.run(&program(&["echo", "a", "b c"])).await;
        assert_eq!(all(&mut echo.output).await, b"a b c\n");
        assert_eq!(echo.control.exit_code().await, Ok(Some(0)));
        let size = TerminalSize { cols: 1, rows: 1 };
        assert_eq!(echo.control.resize(size).await, Ok(()), "it is left alone");
        let mut code = self.run(&program(&["sh", "-c", "exit 7"])).await;
        assert_eq!(all(&mut code.output).await, b"");
        assert_eq!(code.control.exit_code().await, Ok(Some(7)));
    }

    async fn hears_bytes_until_their_end(&self) {
        let mut cat = self.run(&program(&["cat"])).await;
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let write = async {
            cat.input.write_all(&bytes).await.unwrap();
            cat.input.shutdown().await.unwrap();
        };
        let ((), said) = tokio::join!(write, all(&mut cat.output));
        assert!(said == bytes);
        assert_eq!(cat.control.exit_code().await, Ok(Some(0)));
    }

    async fn has_a_terminal(&self) {
        let size = |cols, rows| TerminalSize { cols, rows };
        let spec = ExecSpec {
            tty: Some(size(132, 43)),
            ..program(&["sh", "-c", "read x; stty size"])
        };
        for (resized, expected) in [(None, "43 132"), (Some(size(100, 30)), "30 100")] {
            let mut exec = self.run(&spec).await;
            if let Some(size) = resized {
                exec.control.resize(size).await.unwrap();
            }
            exec.input.write_all(b"\n").await.unwrap();
            let said = all(&mut exec.output).await;
            let said = String::from_utf8(said).unwrap();
            assert_eq!(said.trim(), expected);
        }
    }

    async fn is_not_there(&self) {
        let mut exec = self.run(&program(&["/no/such/program"])).await;
        assert_ne!(all(&mut exec.output).await, b"");
        let code = exec.control.exit_code().await.unwrap();
        assert!(matches!(code, Some(126 | 127)), "{code:?}");
    }

    async fn is_ended(&self) {
        let mut exec = self.run(&program(&["sleep", "600"])).await;
        exec.control.end().await.unwrap();
        assert_eq!(all(&mut exec.output).await, b"");
        assert_eq!(exec.control.exit_code().await, Ok(Some(137)));
        exec.control.end().await.unwrap();

        let spec = program(&["sleep", "600"]);
        let mut exec = self.run(&spec).await;
        self.0.end_exec(self.1, &spec.mark).await.unwrap();
        assert_eq!(all(&mut exec.output).await, b"");
        assert_eq!(exec.control.exit_code().await, Ok(Some(137)));

        let Exec {
            mut output,
            control,
            ..
        } = self.run(&program(&["sleep", "600"])).await;
        drop(control);
        assert_eq!(all(&mut output).await, b"", "dropping it ends it");
    }

    async fn ends_with_its_container(&self) {
        let mut exec = self.run(&program(&["sleep", "600"])).await;
        self.0.signal(self.1, "SIGKILL").await.unwrap();
        assert_eq!(all(&mut exec.output).await, b"");
        let code = exec.control.exit_code().await.unwrap();
        assert!(matches!(code, Some(137) | None), "{code:?}");
        exec.control.end().await.unwrap();
    }
}

/// Whatever a program has started ends with it, however it hides, by whichever shell finds it.
#[tokio::test]
async fn docker_ends_what_a_program_has_started() {
    let bash = "FROM node:22-bookworm-slim\nRUN ln -sf bash /bin/sh\nUSER node\nENV X=\"a\\nb\"\n\
                CMD [\"sleep\", \"600\"]\n";
    let dash = "FROM node:22-bookworm-slim\nCMD [\"sleep\", \"600\"]\n";
    for dockerfile in [TOOLS, dash, bash] {
        ends_what_it_has_started(dockerfile, &["sh"]).await;
    }
}

/// In an image without a shell it is found from outside.
#[tokio::test]
async fn docker_ends_what_a_program_has_started_where_there_is_no_shell() {
    let dockerfile =
        "FROM scratch\nCOPY busybox /busybox\nCMD [\"/busybox\", \"sleep\", \"600\"]\n";
    ends_what_it_has_started(dockerfile, &["/busybox", "sh"]).await;
}

async fn ends_what_it_has_started(dockerfile: &str, shell: &[&str]) {
    let docker = DockerEngine::new(None).unwrap();
    let image = build_image_with(&docker, dockerfile).await;
    let container = docker.create(&spec(&random_id(), &image)).await.unwrap();
    docker.start(&container).await.unwrap();
    let before = main_program(&container).await;
    let tools = match shell {
        [busybox, _] => format!("{busybox} "),
        _ => String::new(),
    };
    let script = format!(
        "trap '' HUP TERM INT; {tools}sleep 601 & ({tools}setsid {tools}sleep 602 &); echo on; \
         {tools}sleep 603; {tools}sleep 604"
    );
    let command = [shell, &["-c", &script]].concat();
    for tty in [None, Some(TerminalSize { cols: 80, rows: 24 })] {
        let spec = ExecSpec {
            tty,
            ..program(&command)
        };
        let mut exec = docker.exec(&container, &spec).await.unwrap();
        let said = exec.output.try_next().await.unwrap();
        assert!(said.is_some_and(|said| said.starts_with(b"on")));
        assert_ne!(processes(&container), before);
        exec.control.end().await.unwrap();
        assert_eq!(processes(&container), before);
    }
    docker.remove(&container).await.unwrap();
    docker.remove_image(&image).await.unwrap();
}

/// What runs in a container that has just been started, once its init process has begun the program.
async fn main_program(container: &str) -> Vec<String> {
    loop {
        // A heading, the init process, the program.
        let running = processes(container);
        if running.len() > 2 {
            return running;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// What runs in a container, zombies left out.
fn processes(container: &str) -> Vec<String> {
    let mut docker = std::process::Command::new("docker");
    let said = docker
        .args(["top", container, "-eo", "pid,stat,args"])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let lines = said.lines().filter(|line| !line.contains("<defunct>"));
    lines.map(str::to_owned).collect()
}

fn program(command: &[&str]) -> ExecSpec {
    ExecSpec {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        tty: None,
        mark: random_id(),
    }
}

async fn all(output: &mut BoxStream<'static, Result<Bytes, EngineError>>) -> Vec<u8> {
    let pieces = timeout(PATIENCE, output.try_collect::<Vec<Bytes>>()).await;
    pieces.expect("it ends").unwrap().concat()
}
