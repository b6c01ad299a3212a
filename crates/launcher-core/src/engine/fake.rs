//! An engine in memory, for tests that need no program to run. It passes the same contract as
//! Docker, and can be told to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use bollard::models::ContainerCreateBody;
use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{
    BuildFailure, BuildSpec, Container, ContainerSpec, ContainerState, ContainerStats, Engine,
    EngineDisk, EngineError, EngineImage, Event, Exec, ExecSpec, ImageLayer, ImageUser,
    LABEL_INSTANCE, LABEL_OWNER, LABEL_RELEASE, LABEL_REPLICA, LayerState, LeftLayers,
    ListedContainer, ListedImage, LogPiece, LogQuery, LogStream, Machine, RegistryLogin, Transfer,
    TransferNews, TransferOutput, docker_config::whole_body, fake_exec::FakePrograms,
};
use crate::ids::random_id;

/// The image that every fake registry has.
pub(crate) const PULLABLE: &str = "pullable:latest";
/// The registry that lets in only this user, with this password.
pub(crate) const PRIVATE: &str = "private.test:5000";
pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "ri>ght?~";

/// The same image by its digest.
pub(crate) fn pullable_by_digest() -> String {
    format!("pullable@sha256:{:064x}", 1)
}

#[derive(Clone)]
pub(crate) struct FakeEngine {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<(String, Event)>,
    /// Changes when a program writes something, or a container changes.
    stirred: watch::Sender<u64>,
    programs: FakePrograms,
}

struct State {
    containers: BTreeMap<String, Made>,
    /// Those that were removed: who reads their logs reads them to the end.
    gone: BTreeMap<String, Made>,
    images: BTreeMap<String, EngineImage>,
    nameless: Vec<EngineImage>,
    failing: BTreeSet<&'static str>,
    stubborn: bool,
    stats_asked: usize,
    stalled: Option<CancellationToken>,
    /// What all registries have, by name.
    registry: BTreeMap<String, EngineImage>,
    feeble: bool,
    calls: Vec<String>,
    next_port: u16,
    lost: CancellationToken,
}

impl State {
    /// Gives an image a name; one that had it before, and has no other, is nameless then.
    fn name(&mut self, name: &str, image: EngineImage) {
        let former = self.images.insert(name.to_owned(), image);
        self.nameless.extend(former);
        let Self {
            images, nameless, ..
        } = self;
        nameless.retain(|left| images.values().all(|named| named.id != left.id));
    }

    /// An image by its name or id.
    fn find(&self, reference: &str) -> Option<&EngineImage> {
        let mut all = self.images.values().chain(&self.nameless);
        let named = self.images.get(reference);
        named.or_else(|| all.find(|image| image.id == reference))
    }

    fn users(&self, image: &str) -> Vec<ImageUser> {
        let made = self.containers.values().filter(|made| made.image == image);
        let user = |made: &Made| ImageUser {
            container: made.name.clone(),
            owner: Some(made.owner.clone()),
            instance: Some(made.container.instance.clone()),
        };
        made.map(user).collect()
    }
}

struct Made {
    container: Container,
    log: Vec<LogPiece>,
    used: ContainerStats,
    image: String,
    owner: String,
    name: String,
    body: ContainerCreateBody,
}

impl Made {
    fn write(&mut self, stream: LogStream, text: &[u8]) {
        let bytes = Bytes::copy_from_slice(text);
        let at = Timestamp::now();
        self.log.push(LogPiece { stream, at, bytes });
    }
}

impl Default for FakeEngine {
    fn default() -> Self {
        let state = State {
            containers: BTreeMap::new(),
            gone: BTreeMap::new(),
            images: BTreeMap::from([("app:latest".to_owned(), image())]),
            nameless: Vec::new(),
            failing: BTreeSet::new(),
            stubborn: false,
            stats_asked: 0,
            stalled: None,
            feeble: false,
            registry: BTreeMap::from(
                [PULLABLE.to_owned(), pullable_by_digest()].map(|name| (name, pullable())),
            ),
            calls: Vec::new(),
            next_port: 30_000,
            lost: CancellationToken::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            events: broadcast::Sender::new(1024),
            stirred: watch::Sender::new(0),
            programs: FakePrograms::default(),
        }
    }
}

impl FakeEngine {
    /// From now on, calls of this name fail.
    pub(crate) fn fail(&self, call: &'static str) {
        self.state.lock().failing.insert(call);
    }

    /// All calls succeed again, and programs go on.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock();
        state.failing.clear();
        state.feeble = false;
    }

    /// From now on, programs end only when they are killed.
    pub(crate) fn be_stubborn(&self) {
        self.state.lock().stubborn = true;
    }

    /// Gives an image one more name.
    pub(crate) fn tag(&self, name: &str, also: &str) {
        let mut state = self.state.lock();
        let image = state.images[name].clone();
        state.name(also, image);
        self.tell_image();
    }

    /// Takes a name from an image without a word, and returns the image's id.
    pub(crate) fn remove_tag(&self, name: &str) -> String {
        let removed = self.state.lock().images.remove(name);
        removed.expect("the engine has it").id
    }

    /// The image of this name has a label.
    pub(crate) fn label(&self, name: &str, label: &str, value: &str) {
        let mut state = self.state.lock();
        if let Some(image) = state.images.get_mut(name) {
            image.labels.insert(label.to_owned(), value.to_owned());
        }
    }

    /// From now on, transfers wait in the middle, until [`Self::go_on`].
    pub(crate) fn stall(&self) {
        self.state.lock().stalled = Some(CancellationToken::new());
    }

    pub(crate) fn go_on(&self) {
        if let Some(stalled) = self.state.lock().stalled.take() {
            stalled.cancel();
        }
    }

    /// Takes a label from every container.
    pub(crate) fn forget_label(&self, label: &str) {
        for made in self.state.lock().containers.values_mut() {
            if let Some(labels) = &mut made.body.labels {
                labels.remove(label);
            }
        }
    }

    /// From now on, programs end as soon as they have been started.
    pub(crate) fn be_feeble(&self) {
        self.state.lock().feeble = true;
    }

    /// Somebody pushes another image of this name.
    pub(crate) fn publish(&self, name: &str) {
        self.state.lock().registry.insert(name.to_owned(), image());
    }

    /// Another image gets this name, as by a build.
    pub(crate) fn rename(&self, name: &str) -> String {
        let newer = image();
        let id = newer.id.clone();
        self.state.lock().name(name, newer);
        id
    }

    /// The names of all calls that changed something, with what they were about.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    /// All containers.
    pub(crate) fn all(&self) -> Vec<Container> {
        self.state
            .lock()
            .containers
            .values()
            .map(|made| made.container.clone())
            .collect()
    }

    /// A container's program writes something, which may be a piece of a line.
    pub(crate) fn write(&self, id: &str, stream: LogStream, text: impl AsRef<[u8]>) {
        let mut state = self.state.lock();
        if let Some(made) = state.containers.get_mut(id) {
            made.write(stream, text.as_ref());
        }
        drop(state);
        self.stir();
    }

    /// What a container will have used when it is asked for next.
    pub(crate) fn set_stats(&self, id: &str, stats: ContainerStats) {
        let mut state = self.state.lock();
        if let Some(made) = state.containers.get_mut(id) {
            made.used = stats;
        }
    }

    /// How often it was asked what a container uses.
    pub(crate) fn stats_asked(&self) -> usize {
        self.state.lock().stats_asked
    }

    /// How many logs are being followed.
    pub(crate) fn followed(&self) -> usize {
        self.stirred.receiver_count()
    }

    fn stir(&self) {
        self.stirred.send_modify(|number| *number += 1);
    }

    /// Ends a container's program from outside, as a crash does.
    pub(crate) fn crash(&self, id: &str) {
        self.change(id, end);
    }

    /// Removes a container from outside, silently if the event stream is to miss it.
    pub(crate) fn vanish(&self, id: &str, silently: bool) {
        let made = self.state.lock().containers.remove(id);
        self.programs.end_all(id);
        let Some(mut made) = made else {
            return;
        };
        if !silently {
            self.tell(&made);
        }
        end(&mut made.container);
        self.state.lock().gone.insert(id.to_owned(), made);
        self.stir();
    }

    /// The marks of the programs that run beside containers' own.
    pub(crate) fn programs(&self) -> Vec<String> {
        self.programs.marks()
    }

    /// Cuts all event streams.
    pub(crate) fn lose_events(&self) {
        let mut state = self.state.lock();
        std::mem::take(&mut state.lost).cancel();
    }

    fn call(&self, name: &'static str, what: &str) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        if state.failing.contains(name) {
            return Err(EngineError::Failed(format!("{name} was told to fail")));
        }
        state.calls.push(format!("{name} {what}"));
        Ok(())
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Container)) -> bool {
        let mut state = self.state.lock();
        let Some(made) = state.containers.get_mut(id) else {
            return false;
        };
        change(&mut made.container);
        if made.container.state != ContainerState::Running {
            self.programs.end_all(id);
        }
        self.tell(made);
        self.stir();
        true
    }

    async fn tell_layers(&self, output: &TransferOutput) {
        let layer = |id, state, text| output(TransferNews::Layer { id, state, text });
        let moving = |done| LayerState::Moving {
            done,
            of: Some(100),
        };
        layer("a", LayerState::Done, "Already exists");
        layer("b", LayerState::Waiting, "Waiting");
        layer("b", moving(60), "Moving");
        let stalled = self.state.lock().stalled.clone();
        if let Some(stalled) = stalled {
            stalled.cancelled().await;
        }
        layer("b", moving(100), "Moving");
        layer("b", LayerState::Done, "Done");
    }

    /// What was written of what is asked for, after so many pieces, and whether that is all.
    fn log(
        &self,
        container: &str,
        query: &LogQuery,
        after: usize,
    ) -> Option<(Vec<LogPiece>, bool)> {
        let state = self.state.lock();
        let made = state.containers.get(container);
        let made = made.or_else(|| state.gone.get(container))?;
        let wanted = made.log.iter().filter(|piece| match piece.stream {
            LogStream::Stdout => query.stdout,
            LogStream::Stderr => query.stderr,
        });
        let recent = wanted.filter(|piece| query.since.is_none_or(|since| piece.at >= since));
        let is_over = made.container.state != ContainerState::Running;
        Some((recent.skip(after).cloned().collect(), is_over))
    }

    fn tell_image(&self) {
        self.tell_all(Event::Image);
    }

    fn tell_all(&self, event: Event) {
        drop(self.events.send((String::new(), event)));
    }

    fn tell(&self, made: &Made) {
        let event = Event::Container {
            instance: made.container.instance.clone(),
            ended: None,
        };
        drop(self.events.send((made.owner.clone(), event)));
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn version(&self) -> Result<String, EngineError> {
        self.call("version", "").map(|()| "fake".to_owned())
    }

    async fn containers(
        &self,
        owner: &str,
        instance: Option<&str>,
    ) -> Result<Vec<Container>, EngineError> {
        if self.state.lock().failing.contains("containers") {
            return Err(EngineError::Unreachable("told to fail".into()));
        }
        let state = self.state.lock();
        let own = state.containers.values().filter(|made| made.owner == owner);
        let wanted = own.filter(|made| instance.is_none_or(|id| made.container.instance == id));
        Ok(wanted.map(|made| made.container.clone()).collect())
    }

    async fn listed_containers(&self, owner: &str) -> Result<Vec<ListedContainer>, EngineError> {
        let containers = self.containers(owner, None).await?.into_iter();
        let listed = containers.map(|container| ListedContainer {
            id: container.id,
            instance: container.instance,
            state: container.state,
        });
        Ok(listed.collect())
    }

    async fn inspect(&self, container: &str) -> Result<serde_json::Value, EngineError> {
        match self.state.lock().containers.get(container) {
            Some(made) => Ok(serde_json::json!({
                "Id": container,
                "Config": made.body,
                "HostConfig": made.body.host_config,
            })),
            None => Err(EngineError::NotFound(format!(
                "No such container: {container}"
            ))),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        self.call("create", &spec.name)?;
        let mut state = self.state.lock();
        let Some(image) = state.find(&spec.image).map(|image| image.id.clone()) else {
            return Err(EngineError::NotFound(format!(
                "No such image: {}",
                spec.image
            )));
        };
        if state.containers.values().any(|made| made.name == spec.name) {
            return Err(EngineError::Conflict(format!(
                "The name {} is in use",
                spec.name
            )));
        }
        let made = Made {
            container: created(spec, &image),
            log: Vec::new(),
            used: ContainerStats::default(),
            image,
            owner: spec.labels.get(LABEL_OWNER).cloned().unwrap_or_default(),
            name: spec.name.clone(),
            body: whole_body(spec)?,
        };
        self.tell(&made);
        let id = made.container.id.clone();
        state.containers.insert(id.clone(), made);
        Ok(id)
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        self.call("start", container)?;
        let port = {
            let mut state = self.state.lock();
            state.next_port += 1;
            state.next_port
        };
        let mut was_running = false;
        let started = self.change(container, |container| {
            was_running = container.state == ContainerState::Running;
            start(container, port);
        });
        if !was_running {
            self.write(container, LogStream::Stdout, "said\n");
            self.write(container, LogStream::Stderr, "sighed\n");
        }
        if self.state.lock().feeble {
            self.change(container, end);
        }
        if started {
            Ok(())
        } else {
            Err(EngineError::NotFound(format!(
                "No such container: {container}"
            )))
        }
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        self.call("signal", &format!("{container} {signal}"))?;
        if signal == "SIGKILL" || !self.state.lock().stubborn {
            self.change(container, end);
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        self.call("remove", container)?;
        self.vanish(container, false);
        Ok(())
    }

    async fn logs(
        &self,
        container: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogPiece, EngineError>>, EngineError> {
        self.call("logs", container)?;
        let none = || EngineError::NotFound(format!("No such container: {container}"));
        if !self.state.lock().containers.contains_key(container) {
            return Err(none());
        }
        let (there, is_over) = self.log(container, query, 0).ok_or_else(none)?;
        let tail = query.tail.map_or(there.len(), |tail| tail as usize);
        let skipped = there.len().saturating_sub(tail);
        let first = stream::iter(there[skipped..].to_vec());
        if is_over || !query.follow {
            return Ok(first.map(Ok).boxed());
        }
        let (engine, container, query) = (self.clone(), container.to_owned(), query.clone());
        let state = (there.len(), self.stirred.subscribe());
        let later = stream::unfold(state, move |(mut seen, mut stirred)| {
            let (engine, container, query) = (engine.clone(), container.clone(), query.clone());
            async move {
                loop {
                    stirred.borrow_and_update();
                    let (new, is_over) = engine.log(&container, &query, seen)?;
                    if !new.is_empty() {
                        seen += new.len();
                        return Some((stream::iter(new), (seen, stirred)));
                    }
                    if is_over {
                        return None;
                    }
                    stirred.changed().await.ok()?;
                }
            }
        });
        Ok(first.chain(later.flatten()).map(Ok).boxed())
    }

    async fn stats(&self, container: &str) -> Result<Option<ContainerStats>, EngineError> {
        let stalled = self.state.lock().stalled.clone();
        if let Some(stalled) = stalled {
            stalled.cancelled().await;
        }
        let mut state = self.state.lock();
        state.stats_asked += 1;
        let none = || EngineError::NotFound(format!("No such container: {container}"));
        let made = state.containers.get(container).ok_or_else(none)?;
        let mut used = made.used;
        if used == ContainerStats::default() {
            used.at = Timestamp::now();
            used.memory_bytes = 1;
            used.memory_limit_bytes = 8 << 30;
            used.pids = 1;
        }
        let runs = made.container.state == ContainerState::Running;
        Ok(runs.then_some(used))
    }

    async fn events(&self, owner: &str) -> Result<BoxStream<'static, Event>, EngineError> {
        self.call("events", "")?;
        let owner = owner.to_owned();
        let lost = self.state.lock().lost.clone();
        let events = tokio_stream::wrappers::BroadcastStream::new(self.events.subscribe());
        let own = events.filter_map(move |message| {
            let (of, event) = message.unwrap_or((String::new(), Event::Image));
            futures_util::future::ready((of == owner || of.is_empty()).then_some(event))
        });
        Ok(own.take_until(lost.cancelled_owned()).boxed())
    }

    async fn image(&self, name: &str) -> Result<Option<EngineImage>, EngineError> {
        if self.state.lock().failing.contains("image") {
            return Err(EngineError::Unreachable("told to fail".into()));
        }
        Ok(self.state.lock().find(name).cloned())
    }

    async fn images(&self) -> Result<Vec<ListedImage>, EngineError> {
        if self.state.lock().failing.contains("images") {
            return Err(EngineError::Unreachable("told to fail".into()));
        }
        let state = self.state.lock();
        let mut listed: BTreeMap<String, ListedImage> = BTreeMap::new();
        let named = state.images.iter().map(|(name, image)| (Some(name), image));
        let nameless = state.nameless.iter().map(|image| (None, image));
        for (name, image) in named.chain(nameless) {
            let entry = listed
                .entry(image.id.clone())
                .or_insert_with(|| listed_image(image, state.users(&image.id)));
            entry
                .names
                .extend(name.filter(|name| !name.contains('@')).cloned());
        }
        Ok(listed.into_values().collect())
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.call("remove_image", reference)?;
        let mut state = self.state.lock();
        let is_meant = |name: &str, image: &EngineImage| name == reference || image.id == reference;
        let id = state
            .images
            .iter()
            .find(|(name, image)| is_meant(name, image));
        let id = id.map(|(_, image)| image.id.clone());
        let id = id.or_else(|| {
            let found = state.nameless.iter().find(|image| image.id == reference)?;
            Some(found.id.clone())
        });
        let id = id.ok_or_else(|| EngineError::NotFound(format!("No such image: {reference}")))?;
        let names = state.images.values().filter(|image| image.id == id).count();
        if names <= 1 && !state.users(&id).is_empty() || names > 1 && id == reference {
            return Err(EngineError::Conflict(format!("{reference} is in use")));
        }
        state.images.retain(|name, image| !is_meant(name, image));
        state.nameless.retain(|image| image.id != id);
        drop(state);
        self.tell_image();
        Ok(())
    }

    async fn ancestry(&self) -> Result<BTreeMap<String, Option<String>>, EngineError> {
        let images = self.images().await?;
        Ok(images.into_iter().map(|image| (image.id, None)).collect())
    }

    async fn image_layers(&self, id: &str) -> Result<Vec<ImageLayer>, EngineError> {
        Ok(vec![ImageLayer {
            id: format!("layer of {id}"),
            size_bytes: 1,
        }])
    }

    async fn discard_image(&self, id: &str) -> Result<Vec<String>, EngineError> {
        self.remove_image(id).await?;
        Ok(vec![id.to_owned(), format!("layer of {id}")])
    }

    async fn disk(&self) -> Result<EngineDisk, EngineError> {
        self.call("disk", "")?;
        let images_bytes = self.images().await?.len() as u64;
        Ok(EngineDisk {
            images_bytes,
            ..EngineDisk::default()
        })
    }

    async fn root(&self) -> Result<Option<PathBuf>, EngineError> {
        Ok(None)
    }

    async fn pull(&self, transfer: Transfer) -> Result<String, EngineError> {
        let name = transfer.name.as_str();
        self.call("pull", name)?;
        may_enter(transfer.login.as_ref(), name)?;
        let found = self.state.lock().registry.get(name).cloned();
        let none = || EngineError::NotFound(format!("pull access denied for {name}"));
        let pulled = found.ok_or_else(none)?;
        self.tell_layers(&transfer.output).await;
        let digest = digest_of(&pulled);
        self.state.lock().name(name, pulled);
        match name.contains('@') {
            true => self.tell_all(Event::PulledByDigest(name.to_owned())),
            false => self.tell_image(),
        }
        Ok(digest)
    }

    async fn push(&self, transfer: Transfer) -> Result<String, EngineError> {
        let name = transfer.name.as_str();
        self.call("push", name)?;
        may_enter(transfer.login.as_ref(), name)?;
        let found = self.state.lock().images.get(name).cloned();
        let mut pushed = found.ok_or_else(|| {
            EngineError::NotFound(format!(
                "An image does not exist locally with the tag: {name}"
            ))
        })?;
        self.tell_layers(&transfer.output).await;
        let repository = name
            .rsplit_once(':')
            .map_or(name, |(repository, _)| repository);
        pushed.digests = vec![format!("{repository}@{}", pushed.id)];
        let mut state = self.state.lock();
        let by_digest = format!("{repository}@{}", pushed.id);
        state.registry.insert(by_digest, pushed.clone());
        state.registry.insert(name.to_owned(), pushed.clone());
        Ok(digest_of(&pushed))
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<(), EngineError> {
        self.call("check_login", login.registry.as_str())?;
        may_enter(Some(login), &format!("{PRIVATE}/image"))
    }

    async fn machine(&self) -> Result<Machine, EngineError> {
        Ok(Machine {
            memory_bytes: 8 << 30,
            cpus: 4,
            time: Timestamp::now(),
        })
    }

    async fn build(&self, mut build: BuildSpec) -> Result<String, BuildFailure> {
        self.call("build", &build.name)?;
        while let Some(piece) = build.context.next().await {
            piece.map_err(|e| EngineError::Failed(e.to_string()))?;
        }
        let mut made = image();
        made.labels = build.labels;
        let id = made.id.clone();
        self.state.lock().name(&build.name, made);
        self.tell_image();
        Ok(id)
    }

    async fn remove_layers(&self, _left: &LeftLayers) {}

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec, EngineError> {
        self.call("exec", container)?;
        let state = self.state.lock();
        let made = state.containers.get(container);
        let text = |what| format!("Container {container} is {what}");
        let made = made.ok_or_else(|| EngineError::NotFound(text("not there")))?;
        match made.container.state {
            ContainerState::Running => Ok(self.programs.start(container, spec)),
            _ => Err(EngineError::Conflict(text("not running"))),
        }
    }

    async fn end_exec(&self, container: &str, mark: &str) -> Result<(), EngineError> {
        self.call("end_exec", container)?;
        self.programs.end(mark);
        Ok(())
    }
}

/// The private registry lets in only one user.
fn may_enter(login: Option<&RegistryLogin>, name: &str) -> Result<(), EngineError> {
    if !name.starts_with(PRIVATE) {
        return Ok(());
    }
    match login {
        None => Err(EngineError::Failed("no basic auth credentials".into())),
        Some(login) if login.username == USER && login.password.reveal() == PASSWORD => Ok(()),
        Some(_) => Err(EngineError::Failed(
            "unauthorized: authentication required".into(),
        )),
    }
}

fn digest_of(image: &EngineImage) -> String {
    let digest = image.digests.first().and_then(|d| d.split_once('@'));
    digest.map_or_else(String::new, |(_, digest)| digest.to_owned())
}

fn pullable() -> EngineImage {
    EngineImage {
        id: format!("sha256:{:064x}", 2),
        digests: vec![pullable_by_digest()],
        ..image()
    }
}

fn image() -> EngineImage {
    EngineImage {
        id: format!("sha256:{:0>64}", hex(&random_id())),
        created_at: Some(Timestamp::now()),
        size_bytes: 1,
        exposed_ports: Vec::new(),
        digests: Vec::new(),
        labels: BTreeMap::new(),
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn listed_image(image: &EngineImage, users: Vec<ImageUser>) -> ListedImage {
    ListedImage {
        id: image.id.clone(),
        names: Vec::new(),
        digests: image.digests.clone(),
        created_at: image.created_at,
        size_bytes: image.size_bytes,
        labels: image.labels.clone(),
        users,
    }
}

fn created(spec: &ContainerSpec, image: &str) -> Container {
    let release = spec.labels.get(LABEL_RELEASE);
    let replica = spec.labels.get(LABEL_REPLICA);
    Container {
        id: random_id(),
        instance: spec.labels.get(LABEL_INSTANCE).cloned().unwrap_or_default(),
        image_id: image.to_owned(),
        generation: release.and_then(|text| text.parse().ok()).unwrap_or(0),
        replica: replica.and_then(|text| text.parse().ok()).unwrap_or(0),
        state: ContainerState::Created,
        started_at: None,
        finished_at: None,
        exit_code: None,
        oom_killed: false,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: Timestamp::now(),
    }
}

fn start(container: &mut Container, port: u16) {
    if container.state != ContainerState::Running {
        container.state = ContainerState::Running;
        container.started_at = Some(Timestamp::now());
        container.host_port = Some(port);
    }
}

fn end(container: &mut Container) {
    if container.state == ContainerState::Running {
        container.state = ContainerState::Exited;
        container.finished_at = Some(Timestamp::now());
        container.host_port = None;
    }
}
