//! Logs of the fake engine.

use std::collections::BTreeMap;

use crate::{
    Environment,
    engine::{
        ContainerSpec, Engine, EngineError, LABEL_INSTANCE, LABEL_OWNER, LogStream,
        fake::FakeEngine,
    },
    logs::last_lines,
};

/// A container that runs, and has written `said` and `sighed`.
async fn running(engine: &FakeEngine, instance: &str) -> String {
    let spec = ContainerSpec {
        name: format!("launcher-{instance}"),
        image: "app:latest".into(),
        env: Environment::new(),
        labels: BTreeMap::from([
            (LABEL_INSTANCE.to_owned(), instance.to_owned()),
            (LABEL_OWNER.to_owned(), "owner".to_owned()),
        ]),
        app_port: 8080,
        bind_ip: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    let id = engine.create(&spec).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

#[tokio::test]
async fn the_last_lines_of_a_container_are_told() {
    let engine = FakeEngine::default();
    let id = running(&engine, "i").await;
    engine.write(&id, LogStream::Stderr, "x".repeat(3_000) + "\n");
    engine.write(&id, LogStream::Stdout, "no end");
    engine.crash(&id);
    let lines = last_lines(&engine, &id, 3).await.unwrap();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.stream, line.text.len(), line.is_truncated))
        .collect();
    assert_eq!(
        seen,
        [
            (LogStream::Stderr, "sighed".len(), false),
            (LogStream::Stderr, 2_000, true),
            (LogStream::Stdout, "no end".len(), false),
        ]
    );
    for _ in 0..200 {
        engine.write(&id, LogStream::Stdout, "more\n");
    }
    assert_eq!(last_lines(&engine, &id, 1_000).await.unwrap().len(), 100);
    let none = last_lines(&engine, "nothing", 3).await;
    assert!(matches!(none, Err(EngineError::NotFound(_))));
}
