//! From one graph to the next: in the place of what runs where that can be, else from nothing.

use super::{Agent, Effect, Failure, Installed, Now, Run, Slot};

impl Agent {
    pub(super) fn bring(&mut self, slot: Slot, installed: Installed, now: Now, effects: &mut Vec<Effect>) {
        let switches = self.can_switch(slot);
        self.activate(slot, now, effects);
        let id = self.next_number();
        let run = Run {
            id,
            slot,
            installed: installed.clone(),
            started: None,
            running: None,
            watch: None,
        };
        let installed = Box::new(installed);
        if switches {
            self.next = Some(run);
            effects.push(Effect::Switch { run: id, installed });
        } else {
            self.run = Some(run);
            effects.push(Effect::Start { run: id, installed });
        }
    }

    /// Whether a graph is open whose place another one can take.
    fn can_switch(&self, slot: Slot) -> bool {
        let open = self.run.as_ref().is_some_and(|run| run.started.is_some());
        // Both are in memory for a moment, which may be what killed the process before.
        let killed = self.disk.trial.as_ref().is_some_and(|trial| trial.starts > 0);
        open && !(slot == Slot::Trial && killed)
    }

    /// Whatever ran before doesn't any more, if this is the run that was to take its place.
    pub(super) fn take_place(&mut self, id: u64) {
        if let Some(next) = self.next.take_if(|next| next.id == id) {
            self.run = Some(next);
        }
    }

    pub(super) fn switch_failed(&mut self, id: u64, failure: Failure, now: Now, effects: &mut Vec<Effect>) {
        let Some(next) = self.next.take_if(|next| next.id == id) else {
            return;
        };
        match next.slot {
            Slot::Trial => self.fail(failure, now, effects),
            Slot::Active => {
                // What goes on is a revision that was given up, unless that happened meanwhile to the one that was to come.
                let good = self.disk.active.as_ref();
                let bad = self
                    .run
                    .take_if(|run| !good.is_some_and(|good| run.installed.same_content(good)));
                if bad.is_some() {
                    effects.push(Effect::Stop);
                }
                effects.push(Effect::Notice(failure));
                effects.push(Effect::Report);
            }
        }
    }
}
