//! The tracks of one stream, and what a frame does to them.

use crate::detection::{Detection, Detections};
use crate::nodes::tracker::Options;
use crate::nodes::tracker::assignment::assign;
use crate::nodes::tracker::kalman::Motion;

#[derive(Debug)]
pub(super) struct Tracks {
    options: Options,
    followed: Vec<Track>,
    next: u64,
    /// Seconds, of the last frame.
    now: Option<f64>,
}

#[derive(Debug)]
struct Track {
    number: u64,
    class: usize,
    motion: Motion,
    /// Seconds, of the last detection.
    seen: f64,
    times_seen: u32,
}

impl Tracks {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            followed: Vec::new(),
            next: 1,
            now: None,
        }
    }

    /// Takes the detections of a frame; gives those that belong to confirmed tracks, with their numbers.
    pub(super) fn follow(&mut self, detections: &Detections, seconds: f64) -> Vec<Detection> {
        let passed = self
            .now
            .replace(seconds)
            .map_or(0.0, |before| (seconds - before).max(0.0));
        for track in &mut self.followed {
            track.motion.advance(passed);
        }
        let options = self.options.clone();
        let usable =
            |detection: &&Detection| detection.score >= options.low_score && detection.rect.area() > 0.0;
        let (sure, unsure): (Vec<&Detection>, Vec<&Detection>) = detections
            .found
            .iter()
            .filter(usable)
            .partition(|detection| detection.score >= options.high_score);
        let all: Vec<usize> = (0..self.followed.len()).collect();
        let mut found = Vec::new();
        let (left, new) = self.pair(&all, &sure, options.min_overlap, seconds, &mut found);
        // What is hidden in part is found unsurely: good enough for a track that is known, not to begin one.
        self.pair(&left, &unsure, options.min_overlap_unsure, seconds, &mut found);
        for detection in new {
            self.begin(detection, seconds, &mut found);
        }
        let keep = options.keep_for_ms / 1e3;
        // A track that was never confirmed gets no second chance.
        self.followed.retain(|track| {
            track.seen >= seconds
                || (track.times_seen >= options.confirm_after && seconds - track.seen <= keep)
        });
        found
    }

    /// Pairs some tracks with detections; gives the tracks and the detections left over.
    fn pair<'a>(
        &mut self,
        tracks: &[usize],
        detections: &[&'a Detection],
        min_overlap: f32,
        seconds: f64,
        found: &mut Vec<Detection>,
    ) -> (Vec<usize>, Vec<&'a Detection>) {
        let cost = |track: &usize, detection: &&Detection| {
            self.followed.get(*track).map_or(NEVER, |track| {
                let overlap = track.motion.rect().overlap(&detection.rect);
                let same = track.class == detection.class || !self.options.per_class;
                if same && overlap >= min_overlap.max(f32::MIN_POSITIVE) {
                    1.0 - f64::from(overlap)
                } else {
                    NEVER
                }
            })
        };
        let costs: Vec<Vec<f64>> = tracks
            .iter()
            .map(|track| {
                detections
                    .iter()
                    .map(|detection| cost(track, detection))
                    .collect()
            })
            .collect();
        let mut left = Vec::new();
        let mut taken = vec![false; detections.len()];
        for ((number, row), column) in tracks.iter().zip(&costs).zip(assign(&costs)) {
            let column = column.filter(|column| row.get(*column).is_some_and(|cost| *cost < NEVER));
            let detection = column.and_then(|column| detections.get(column));
            let (Some(detection), Some(track)) = (detection, self.followed.get_mut(*number)) else {
                left.push(*number);
                continue;
            };
            if let Some(taken) = column.and_then(|column| taken.get_mut(column)) {
                *taken = true;
            }
            track.motion.see(&detection.rect);
            track.seen = seconds;
            track.times_seen = track.times_seen.saturating_add(1);
            if track.times_seen >= self.options.confirm_after {
                found.push(numbered(detection, track.number));
            }
        }
        let free = detections.iter().zip(taken).filter(|(_, taken)| !taken);
        (left, free.map(|(detection, _)| *detection).collect())
    }

    fn begin(&mut self, detection: &Detection, seconds: f64, found: &mut Vec<Detection>) {
        let track = Track {
            number: self.next,
            class: detection.class,
            motion: Motion::new(&detection.rect),
            seen: seconds,
            times_seen: 1,
        };
        self.next += 1;
        if track.times_seen >= self.options.confirm_after {
            found.push(numbered(detection, track.number));
        }
        self.followed.push(track);
    }
}

/// Dearer than any number of pairs that are possible.
const NEVER: f64 = 1e6;

fn numbered(detection: &Detection, number: u64) -> Detection {
    Detection {
        track: Some(number),
        ..detection.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Rect;

    fn thing(x: f32, score: f32) -> Detection {
        Detection {
            rect: Rect {
                x,
                y: 0.0,
                width: 20.0,
                height: 40.0,
            },
            score,
            ..Detection::default()
        }
    }

    /// Frames at 10 fps; per frame `number@x` of what is told.
    fn follow(options: Options, frames: &[Vec<Detection>]) -> Vec<String> {
        let mut tracks = Tracks::new(options);
        let told = |(frame, found): (usize, &Vec<Detection>)| {
            let found = Detections { found: found.clone() };
            let mut told = tracks.follow(&found, frame as f64 / 10.0);
            told.sort_by_key(|detection| detection.track);
            let texts = told
                .iter()
                .map(|told| format!("{}@{}", told.track.unwrap(), told.rect.x));
            texts.collect::<Vec<_>>().join(" ")
        };
        frames.iter().enumerate().map(told).collect()
    }

    #[test]
    fn two_that_pass_each_other_keep_their_numbers() {
        let at = |step: u8| {
            vec![
                thing(f32::from(step) * 6.0, 0.9),
                thing(100.0 - f32::from(step) * 6.0, 0.9),
            ]
        };
        let frames: Vec<Vec<Detection>> = (0..17).map(at).collect();
        let told = follow(Options::default(), &frames);
        assert_eq!(told[1], "1@6 2@94");
        assert_eq!(told[16], "1@96 2@4");
    }

    #[test]
    fn a_gap_and_unsure_frames_are_bridged() {
        let at = |step: u8, score| vec![thing(f32::from(step) * 4.0, score)];
        let mut frames: Vec<Vec<Detection>> = (0..5).map(|step| at(step, 0.9)).collect();
        frames.extend((5..8).map(|step| at(step, 0.3)));
        frames.extend([vec![], vec![], at(10, 0.9)]);
        let told = follow(Options::default(), &frames);
        assert_eq!(told[5..], ["1@20", "1@24", "1@28", "", "", "1@40"]);
    }

    #[test]
    fn one_mistake_makes_no_track_and_a_long_absence_ends_one() {
        let mut frames = vec![
            vec![thing(0.0, 0.9)],
            vec![],
            vec![thing(0.0, 0.9)],
            vec![thing(0.0, 0.9)],
        ];
        frames.extend(vec![vec![]; 12]);
        frames.extend([vec![thing(0.0, 0.9)], vec![thing(0.0, 0.9)]]);
        let told = follow(Options::default(), &frames);
        let seen: Vec<&String> = told.iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(seen, ["2@0", "3@0"]);
    }

    #[test]
    fn unsure_ones_alone_begin_nothing() {
        let frames = vec![vec![thing(0.0, 0.3)]; 5];
        assert!(follow(Options::default(), &frames).iter().all(String::is_empty));
    }
}
