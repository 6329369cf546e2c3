//! The edge agent as a program that measures files here, if this machine is the device of the profile.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use protocol::reported::Runtime;

use crate::exit::Exit;
use crate::process::unsettle;

/// Runs of a file that is held against a bound.
const RUNS: u32 = 200;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agent {
    program: PathBuf,
    threads: u32,
}

impl Agent {
    /// The given program has to fit; the one beside this program is passed over when it doesn't.
    pub(super) fn find(given: Option<&Path>, profile: &Runtime) -> Result<Option<Self>, Exit> {
        let Some(program) = given.map(Path::to_owned).or_else(beside) else {
            tracing::info!("no edge-agent is beside this program: candidates are not measured whole");
            return Ok(None);
        };
        let agent = Self {
            program,
            threads: profile.threads,
        };
        let here = agent.runtime();
        let problem = match here {
            Ok(here) if here.hash == profile.hash => return Ok(Some(agent)),
            Ok(here) => anyhow!(
                "the profile is of another runtime ({}) than this machine's ({}): candidates can't be measured whole here",
                name(profile),
                name(&here)
            ),
            Err(error) => error,
        };
        if given.is_some() {
            return Err(Exit::BadInput(problem));
        }
        tracing::info!("{problem:#}");
        Ok(None)
    }

    /// Measures every file of the folder that the profile doesn't hold yet.
    pub(super) fn measure(&self, folder: &Path, profile: &Path) -> Result<(), Exit> {
        let status = self
            .command("measure")
            .arg(folder)
            .arg("--out")
            .arg(profile)
            .args(["--runs", &RUNS.to_string()])
            // Its words are for whoever runs it alone.
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("can't start {}", self.program.display()))
            .map_err(Exit::Temporary)?;
        if status.success() {
            Ok(())
        } else {
            let problem = anyhow!("{} measure ended with {status}", self.program.display());
            Err(Exit::Temporary(problem))
        }
    }

    fn runtime(&self) -> anyhow::Result<Runtime> {
        let output = self
            .command("runtime")
            .output()
            .with_context(|| format!("can't start {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(anyhow!(
                "{} runtime ended with {}: {said}",
                self.program.display(),
                output.status
            ));
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("what {} runtime says", self.program.display()))
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        unsettle(&mut command);
        command.arg(verb).args(["--threads", &self.threads.to_string()]);
        command
    }
}

fn beside() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name("edge-agent");
    program.is_file().then_some(program)
}

fn name(runtime: &Runtime) -> String {
    let Runtime {
        hash: _,
        engine,
        provider,
        threads,
        cpu,
    } = runtime;
    format!("{engine}, {provider}, threads: {threads}, {cpu}")
}
