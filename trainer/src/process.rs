//! Settings that libraries read while they are loaded, so that the program has to be started again with them.
//!
//! - `GOMP_SPINCOUNT`: OpenMP's threads sleep soon when they wait. By default they spin for milliseconds, and as
//!   soon as another process wants a core, each operation waits a whole time slice: ten times slower was seen.
//!   Never to spin costs some percent of a step on a quiet machine, since operations follow each other closely.
//! - `MALLOC_…`: freed memory stays in the process. A training step frees and takes the same buffers again;
//!   handing them back to the kernel in between costs a third of the step in page faults.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

const SPIN_COUNT: &str = "GOMP_SPINCOUNT";
/// The standard's own setting, which a spin count would overrule.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
const SETTINGS: [(&str, &str); 4] = [
    (SPIN_COUNT, "20000"),
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "8589934592"),
    ("MALLOC_TOP_PAD_", "67108864"),
];
/// Says that the program was started again, whatever became of the settings.
const DONE: &str = "HAIZEN_TRAINER_SETTINGS";

/// For a program that is started from here: it shall run as if a user had started it.
pub fn unsettle(command: &mut Command) {
    let ours = SETTINGS.iter().map(|(name, _)| *name);
    for name in ours.chain([DONE, "OMP_NUM_THREADS"]) {
        command.env_remove(name);
    }
}

/// Starts the program again, in the same process, when a setting is missing; what the user has set stays.
/// Without success it goes on slower.
pub fn settle() {
    if std::env::var_os(DONE).is_some() {
        return;
    }
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let missing = SETTINGS
        .iter()
        .filter(|(name, _)| !(is_set(name) || *name == SPIN_COUNT && is_set(WAIT_POLICY)));
    if let Ok(program) = std::env::current_exe() {
        let mut command = Command::new(program);
        command
            .args(std::env::args_os().skip(1))
            .envs(missing.copied())
            .env(DONE, "1");
        // Comes back only when it failed.
        drop(command.exec());
    }
}
