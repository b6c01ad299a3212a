use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use measure::{Process, free_address};

use crate::configuration;

/// How many hostnames each router knows.
pub(crate) const HOSTNAMES: usize = 1_000;

/// Who is compared.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Router,
    /// The router, whose table is replaced ten times a second.
    Changing,
}

/// A router in a process of its own, on the first processor.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

/// The app behind all of them.
pub(crate) struct Backend {
    pub(crate) ports: [u16; 2],
    _process: Process,
}

impl Backend {
    pub(crate) fn start(programs: &Path) -> Result<Self> {
        let mut command = on_processor(1, &programs.join("backend"));
        let (process, ports) = Process::announcing(&mut command)?;
        Ok(Self {
            ports: ports
                .try_into()
                .map_err(|_| std::io::Error::other("the backend named no two ports"))?,
            _process: process,
        })
    }
}

impl Candidate {
    /// Starts it; what it needs of files goes to `scratch`.
    pub(crate) fn start(
        kind: Kind,
        backend: &Backend,
        programs: &Path,
        scratch: &Path,
    ) -> Result<Self> {
        let address = free_address()?;
        let (name, mut command) = match kind {
            Kind::Nginx => {
                let file = configuration::nginx(address, backend.ports, scratch)?;
                let mut command = on_processor(0, Path::new("nginx"));
                command.arg("-p").arg(scratch).arg("-c").arg(file);
                ("nginx", command)
            }
            Kind::Haproxy => {
                let file = configuration::haproxy(address, backend.ports, scratch)?;
                let mut command = on_processor(0, Path::new("haproxy"));
                command.args(["-db", "-f"]).arg(file);
                ("haproxy", command)
            }
            Kind::Router => ("router", router(address, backend, programs)),
            Kind::Changing => {
                let mut command = router(address, backend, programs);
                command.arg("10");
                ("router, table replaced 10 times a second", command)
            }
        };
        Ok(Self {
            name,
            address,
            process: Process::listening(&mut command, address)?,
        })
    }
}

/// Starts those that are compared, the baselines first.
pub(crate) fn all(
    kinds: &[Kind],
    backend: &Backend,
    programs: &Path,
    scratch: &Path,
) -> Result<Vec<Candidate>> {
    let start = |kind: &Kind| Candidate::start(*kind, backend, programs, scratch);
    kinds.iter().map(start).collect()
}

pub(crate) fn hostname(number: usize) -> String {
    format!("app{}.bench.test", number % HOSTNAMES)
}

fn router(address: SocketAddr, backend: &Backend, programs: &Path) -> Command {
    let mut command = on_processor(0, &programs.join("router"));
    command.args([address.to_string(), HOSTNAMES.to_string()]);
    command.args(backend.ports.map(|port| port.to_string()));
    command
}

/// The router has a processor for itself; the app and who asks share the other.
fn on_processor(number: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &number.to_string()]).arg(program);
    command
}
