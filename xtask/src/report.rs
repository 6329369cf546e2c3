//! The one place that prints.

#[expect(clippy::print_stdout, reason = "a command-line tool answers on stdout")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
