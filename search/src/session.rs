//! The conversation with a strategy: generations of candidates out, outcomes back in, the same whatever the
//! number of workers and however often it is interrupted.
//!
//! Two rules make it so. A generation is asked for only when the one before is told whole, and outcomes reach
//! the strategy in the order of trials, not of their arrival. All state is the list of records.

use std::collections::{BTreeSet, VecDeque};

use crate::landscape::Landscape;
use crate::random::{Purpose, generator};
use crate::space::Choices;
use crate::strategy::{Fidelity, Goal, Problem, Proposal, Strategy, Told};
use crate::trial::{Feedback, TrialId, TrialRecord};

/// What is searched; handed in at every call, so that a session owns nothing but its own state.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub landscape: &'a dyn Landscape,
    pub goal: Goal,
    /// A point inside the bounds.
    pub start: &'a Choices,
    pub feasible: &'a dyn Fn(&Choices) -> bool,
}

/// How much may be trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// In full trainings.
    pub evaluations: f64,
    /// What each fidelity costs, in full trainings; the first is 1.
    pub prices: Vec<f64>,
}

impl Budget {
    /// So many full trainings and nothing shorter.
    pub fn of_trials(trials: u32) -> Self {
        Self {
            evaluations: f64::from(trials),
            prices: vec![1.0],
        }
    }
}

/// What a worker hears that asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Trial(TrialId),
    /// Others have to be told first.
    Wait,
    /// The budget is spent, or the strategy knows no other candidate.
    Done,
}

/// Shares of full trainings add up to their sum only nearly.
const ROUNDING: f64 = 1e-9;

#[derive(Debug)]
pub struct Session {
    strategy: Box<dyn Strategy>,
    budget: Budget,
    seed: u64,
    spent: f64,
    records: Vec<TrialRecord>,
    asked: BTreeSet<Proposal>,
    /// What is left of the current generation.
    planned: VecDeque<Proposal>,
    generation: u32,
    /// Trials below this are told to the strategy.
    told: usize,
    /// Latency over bound of each trial.
    latencies: Vec<f64>,
    /// Options of the landscape's slots, once it was seen.
    options: Vec<usize>,
}

impl Session {
    pub fn new(strategy: Box<dyn Strategy>, budget: Budget, seed: u64) -> Self {
        Self {
            strategy,
            budget,
            seed,
            spent: 0.0,
            records: Vec::new(),
            asked: BTreeSet::new(),
            planned: VecDeque::new(),
            generation: 0,
            told: 0,
            latencies: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Goes on where the records end. They come in order, with points in canonical form.
    pub fn resume(
        strategy: Box<dyn Strategy>,
        budget: Budget,
        seed: u64,
        records: Vec<TrialRecord>,
        setting: &Setting<'_>,
    ) -> Self {
        let mut session = Self::new(strategy, budget, seed);
        let last = records.last().map_or(0, |record| record.generation);
        let mut records = VecDeque::from(records);
        while records.front().is_some_and(|record| record.generation < last) {
            if let Some(record) = records.pop_front() {
                session.append(record, setting);
            }
        }
        session.release();
        if !records.is_empty() {
            // The same generator and the same state give the same plan; what is recorded of it is its start.
            session.generation = last;
            session.plan(setting);
            for record in records {
                session.planned.pop_front();
                session.append(record, setting);
            }
            session.release();
        }
        session
    }

    /// All the state there is.
    pub fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    /// Full trainings handed out, with shorter ones as their share.
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// Work for one worker.
    pub fn next(&mut self, setting: &Setting<'_>) -> Next {
        if self.planned.is_empty() && self.strategy.learns() && self.told < self.records.len() {
            return Next::Wait;
        }
        self.next_now(setting).map_or(Next::Done, Next::Trial)
    }

    /// The next candidate with what is known by now: for searches that train nothing while they choose.
    pub fn next_now(&mut self, setting: &Setting<'_>) -> Option<TrialId> {
        if self.planned.is_empty() {
            if !self.records.is_empty() {
                self.generation += 1;
            }
            self.plan(setting);
        }
        let Proposal { choices, fidelity } = self.planned.pop_front()?;
        let id = TrialId(self.records.len() as u32);
        let record = TrialRecord {
            id,
            choices,
            feedback: Vec::new(),
            fidelity,
            generation: self.generation,
        };
        self.append(record, setting);
        Some(id)
    }

    /// Keeps an outcome; `None` when the trial was never asked for.
    pub fn tell(&mut self, id: TrialId, feedback: Feedback) -> Option<()> {
        let record = self.records.get_mut(id.0 as usize)?;
        record.feedback.push(feedback);
        if self.planned.is_empty() {
            self.release();
        }
        Some(())
    }

    fn append(&mut self, record: TrialRecord, setting: &Setting<'_>) {
        if self.options.is_empty() {
            self.options = setting.landscape.options().to_vec();
        }
        self.spent += self.price(record.fidelity);
        self.asked.insert(Proposal {
            choices: record.choices.clone(),
            fidelity: record.fidelity,
        });
        self.latencies
            .push(setting.landscape.free(&record.choices).latency);
        self.generation = record.generation;
        self.records.push(record);
    }

    fn price(&self, fidelity: Fidelity) -> f64 {
        self.budget
            .prices
            .get(usize::from(fidelity.0))
            .copied()
            .unwrap_or(f64::INFINITY)
    }

    /// Asks the strategy. What breaks a bound, was asked for before or costs too much never leaves here.
    fn plan(&mut self, setting: &Setting<'_>) {
        let problem = Problem {
            landscape: setting.landscape,
            goal: setting.goal,
            asked: &self.asked,
            start: setting.start,
            feasible: setting.feasible,
            prices: &self.budget.prices,
            left: self.budget.evaluations - self.spent,
            budget: self.budget.evaluations,
        };
        let mut left = problem.left + ROUNDING;
        if left < self.budget.prices.iter().copied().fold(1.0, f64::min) {
            return;
        }
        let mut rng = generator(self.seed, self.records.len() as u64, Purpose::Ask);
        let proposals = self.strategy.ask(&problem, &mut rng);
        let mut planned: Vec<Proposal> = Vec::with_capacity(proposals.len());
        for Proposal { choices, fidelity } in proposals {
            let Some(choices) = setting.landscape.canonical(&choices) else {
                continue;
            };
            let price = self.price(fidelity);
            let proposal = Proposal { choices, fidelity };
            let is_new = !self.asked.contains(&proposal) && !planned.contains(&proposal);
            if is_new && price <= left && (setting.feasible)(&proposal.choices) {
                left -= price;
                planned.push(proposal);
            }
        }
        self.planned = planned.into();
    }

    /// Tells the strategy of every generation that is finished whole, in order.
    fn release(&mut self) {
        while let Some(first) = self.records.get(self.told) {
            let generation = first.generation;
            let is_of_it = |record: &&TrialRecord| record.generation == generation;
            let members = self.records[self.told..].iter().take_while(is_of_it).count();
            let members = &self.records[self.told..self.told + members];
            if !members.iter().all(TrialRecord::is_finished) {
                return;
            }
            for record in members {
                for feedback in &record.feedback {
                    self.strategy.tell(&Told {
                        trial: record.id,
                        choices: &record.choices,
                        options: &self.options,
                        fidelity: record.fidelity,
                        generation,
                        latency: self.latencies[record.id.0 as usize],
                        feedback,
                    });
                }
            }
            self.told += members.len();
        }
    }
}

impl std::fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting")
            .field("goal", &self.goal)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
