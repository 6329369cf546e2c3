//! One screen that redraws on a terminal; a line per change elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use crds::edgepipeline::EdgePipelineStatus;
use crds::nasjob::NasJobStatus;
use crossterm::cursor::MoveToPreviousLine;
use crossterm::terminal::{Clear, ClearType};
use crossterm::{QueueableCommand, tty::IsTty};

use crate::api::{Device, Telemetry};
use crate::demo::snapshot::{Snapshot, Step};

/// Where frames go.
#[derive(Debug)]
pub struct Screen {
    live: bool,
    drawn: u16,
    last: Vec<String>,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            live: io::stdout().is_tty(),
            drawn: 0,
            last: Vec::new(),
        }
    }
}

impl Screen {
    pub fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        if self.live {
            self.redraw(&frame(snapshot))
        } else {
            self.print_new(story_lines(snapshot))
        }
    }

    /// Text below the screen that stays.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.drawn = 0;
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        let (width, height) = crossterm::terminal::size().unwrap_or((100, 40));
        let mut out = io::stdout().lock();
        if self.drawn > 0 {
            out.queue(MoveToPreviousLine(self.drawn))?
                .queue(Clear(ClearType::FromCursorDown))?;
        }
        let fit = usize::from(height.saturating_sub(1));
        for line in lines.iter().take(fit) {
            let line: String = line.chars().take(usize::from(width)).collect();
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len().min(fit) as u16;
        out.flush()
    }

    fn print_new(&mut self, lines: Vec<String>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines.iter().filter(|line| !self.last.contains(line)) {
            writeln!(out, "{line}")?;
        }
        self.last = lines;
        out.flush()
    }
}

/// The whole screen as lines.
fn frame(s: &Snapshot) -> Vec<String> {
    let mut lines = vec![String::new()];
    for step in Step::ALL {
        lines.push(step_line(s, step));
    }
    if let Some(search) = &s.search {
        lines.push(String::new());
        lines.extend(search_lines(search));
    }
    if let Some(rollout) = &s.rollout {
        lines.push(String::new());
        lines.push(rollout_line(rollout));
    }
    if !s.devices.is_empty() {
        lines.push(String::new());
        lines.push("  DEVICE        SITE      CLASS     STATE        FPS    P95".into());
        lines.extend(s.devices.iter().map(device_line));
    }
    if let Some(telemetry) = &s.telemetry {
        lines.push(String::new());
        lines.push(telemetry_line(telemetry));
    }
    lines
}

/// What a log should hold: everything but the figures that move all the time.
fn story_lines(s: &Snapshot) -> Vec<String> {
    let mut lines: Vec<String> = s
        .done
        .iter()
        .map(|(step, took)| format!("✔ {:<9} {}", seconds(*took), step.about()))
        .collect();
    if let Some((step, _)) = s.running {
        lines.push(format!("◌ {}", step.about()));
    }
    lines.extend(s.search.iter().flat_map(search_lines));
    lines.extend(s.rollout.iter().map(rollout_line));
    lines
}

fn step_line(s: &Snapshot, step: Step) -> String {
    let done = s.done.iter().find(|(done, _)| *done == step);
    let running = s.running.filter(|(running, _)| *running == step);
    match (done, running) {
        (Some((_, took)), _) => format!("  ✔ {:<7} {}", seconds(*took), step.about()),
        (None, Some((_, since))) => format!("  ◌ {:<7} {}", seconds(since), step.about()),
        (None, None) => format!("  ○ {:<7} {}", "", step.about()),
    }
}

fn search_lines(status: &NasJobStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(progress) = &status.progress {
        let detail = progress.detail.as_deref().unwrap_or_default();
        lines.push(format!(
            "  search   {:?} {}/{} {detail}",
            progress.stage, progress.done, progress.of
        ));
    }
    for target in &status.targets {
        let class = target.class.as_deref().unwrap_or("?");
        let best = target.best.as_ref().map_or_else(
            || "searching".to_owned(),
            |b| {
                format!(
                    "{:.1} % right, p95 {} measured ({} predicted), {}",
                    b.accuracy * 100.0,
                    b.measured_p95,
                    b.predicted_p95,
                    b.model.chars().take(19).collect::<String>()
                )
            },
        );
        lines.push(format!("  target   {:<12} class {class:<9} {best}", target.name));
    }
    lines
}

fn rollout_line(status: &EdgePipelineStatus) -> String {
    let devices = &status.devices;
    let line = format!(
        "  rollout  wave {} · {} of {} devices updated, {} healthy",
        status.wave.as_deref().unwrap_or("-"),
        devices.updated,
        devices.matched,
        devices.ready
    );
    let bad = [(devices.failed, "failed"), (devices.unreachable, "unreachable")];
    bad.iter()
        .filter(|(count, _)| *count > 0)
        .fold(line, |line, (count, what)| format!("{line}, {count} {what}"))
}

fn device_line(device: &Device) -> String {
    let phase = device
        .phase()
        .unwrap_or(if device.online { "Online" } else { "Offline" });
    let (fps, p95) = device
        .running()
        .map_or((String::new(), String::new()), |running| {
            (
                format!("{:.1}", running.fps),
                format!("{:.1} ms", running.latency_p95_ms),
            )
        });
    format!(
        "  {:<13} {:<9} {:<9} {phase:<12} {fps:<6} {p95}",
        device.id, device.site, device.class
    )
}

fn telemetry_line(telemetry: &Telemetry) -> String {
    format!(
        "  results  {} rows stored, {} missing",
        telemetry.stored, telemetry.gaps
    )
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_done_running_and_ahead() {
        let snapshot = Snapshot {
            done: vec![(Step::Install, Duration::from_secs(40))],
            running: Some((Step::Devices, Duration::from_secs(3))),
            ..Snapshot::default()
        };
        let lines = frame(&snapshot);
        assert!(lines[1].starts_with("  ✔ 40s"), "{lines:?}");
        assert!(lines[2].starts_with("  ◌ 3s"), "{lines:?}");
        assert!(lines[3].starts_with("  ○"), "{lines:?}");
        assert_eq!(story_lines(&snapshot).len(), 2);
    }
}
