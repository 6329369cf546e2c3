//! How the program ends, in terms a Job's pod failure policy can tell apart.

use std::process::ExitCode;

/// Why it ended unsuccessfully.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// The job document, the data or an argument is wrong: another try ends the same way.
    #[error("{0:#}")]
    BadInput(anyhow::Error),
    /// Something was away or failed: another try may succeed.
    #[error("{0:#}")]
    Temporary(anyhow::Error),
    /// SIGTERM: the state is saved, the next pod goes on from it.
    #[error("ended by a signal; the checkpoint is kept")]
    Terminated,
}

impl Exit {
    /// 65 bad input, 75 temporary, 143 terminated.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::BadInput(_) => 65,
            Self::Temporary(_) => 75,
            Self::Terminated => 143,
        })
    }
}
