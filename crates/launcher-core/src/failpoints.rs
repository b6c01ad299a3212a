//! Places in a deployment at which a test can have the launcher killed.
//!
//! Only with the feature `failpoints`: the file that the environment variable `LAUNCHER_FAILPOINT`
//! names has the name of one, and with a number behind it which time it is reached. Without the
//! feature nothing of it is compiled.

macro_rules! failpoints {
    ($($(#[doc = $what:literal])* $name:ident,)*) => {
        /// Each is reached in some deployment.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Failpoint {
            $($(#[doc = $what])* $name,)*
        }

        #[cfg(feature = "failpoints")]
        impl Failpoint {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

failpoints! {
    /// The new release is recorded, but not that it is wished.
    ReleaseRecorded,
    /// So is its deployment.
    DeploymentRecorded,
    /// The wish for it is recorded.
    WishRecorded,
    /// One that it overtook is told so.
    OvertakenTold,
    /// Its image was pulled.
    ImagePulled,
    /// It is recorded which image exactly it is.
    ImageRecorded,
    /// A container was made.
    ContainerCreated,
    /// A container was started.
    ContainerStarted,
    /// That was told.
    StartTold,
    /// All new containers answer.
    AllReady,
    /// Requests go to them.
    Switched,
    /// That was told.
    SwitchTold,
    /// That the release serves is recorded.
    FinishRecorded,
    /// So it is with the release.
    NewReleaseCurrent,
    /// So it is with the one before.
    OldReleaseSuperseded,
    /// No new requests go to an old container.
    Draining,
    /// An old container's program was asked to end.
    AskedToEnd,
    /// It did not, and was killed.
    Killed,
    /// A container was removed.
    ContainerRemoved,
    /// All old containers have ended.
    OldOnesEnded,
    /// That was told.
    EndTold,
    /// A new container does not get ready.
    FailureFound,
    /// What can be known of that is recorded.
    FailureNoted,
    /// That the old release is wanted again is recorded.
    TakenBack,
    /// So it is with the new release.
    NewReleaseFailed,
    /// That was told.
    FailureTold,
    /// The instance was wished stopped meanwhile; that is recorded.
    Abandoned,
}

impl Failpoint {
    /// Ends the process as SIGKILL does, if a test wants that here.
    #[cfg(feature = "failpoints")]
    pub(crate) fn reach(self) {
        let Some(file) = std::env::var_os("LAUNCHER_FAILPOINT") else {
            return;
        };
        let armed = std::fs::read_to_string(&file).unwrap_or_default();
        let mut words = armed.split_whitespace();
        if words.next() != Some(&format!("{self:?}")) {
            return;
        }
        match words.next().and_then(|count| count.parse::<u32>().ok()) {
            Some(count) if count > 1 => {
                drop(std::fs::write(&file, format!("{self:?} {}", count - 1)));
            }
            _ => die(),
        }
    }

    /// Does nothing.
    #[cfg(not(feature = "failpoints"))]
    #[inline]
    pub(crate) fn reach(self) {}
}

/// Without destructors, and without any other thread going on behind it.
#[cfg(feature = "failpoints")]
fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}
