//! Where the boxes stand.

use super::scene::{Line, Scene, Shape};

/// Pixels.
const CHARACTER: f64 = 7.4;
const LINE: f64 = 17.0;
const PADDING: f64 = 12.0;
const BETWEEN: f64 = 36.0;
const LAYERS_APART: f64 = 64.0;
/// Room that a line takes where it passes a layer.
const LANE: f64 = 24.0;
/// Lines that would bend more often are drawn straight.
const MOST_BENDS: usize = 20_000;
const SWEEPS: usize = 8;

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: Vec<Place>,
    /// By line: the points it passes between its ends.
    pub(super) bends: Vec<Vec<(f64, f64)>>,
    /// By line: whether it leads up, because it closes a cycle.
    pub(super) back: Vec<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Something that takes room in a layer: a box, or a line on its way.
#[derive(Debug, Clone, Default)]
struct Item {
    layer: usize,
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

pub(super) fn arrange(scene: &Scene) -> Layout {
    let back = find_back(scene);
    let layers = layers(scene, &back);
    let (mut items, lanes) = items(scene, &layers, &back);
    let rows = order(&mut items);
    let width = rows.iter().map(|row| width_of(row, &items)).fold(0.0, f64::max);
    for row in &rows {
        let mut x = (width - width_of(row, &items)) / 2.0 + BETWEEN;
        for index in row {
            if let Some(item) = items.get_mut(*index) {
                item.x = x;
                x += item.width + BETWEEN;
            }
        }
    }
    let heights: Vec<f64> = scene
        .boxes
        .iter()
        .map(|node| node.texts.len() as f64 * LINE + PADDING)
        .collect();
    let mut tops = Vec::new();
    let mut y = BETWEEN;
    for layer in 0..rows.len() {
        tops.push(y);
        let of_layer = layers.iter().zip(&heights).filter(|(at, _)| **at == layer);
        y += of_layer.map(|(_, height)| *height).fold(LINE, f64::max) + LAYERS_APART;
    }
    let top = |layer: usize| tops.get(layer).copied().unwrap_or(0.0);
    let place = |(index, height): (usize, &f64)| {
        let (x, width) = items.get(index).map_or((0.0, 0.0), |item| (item.x, item.width));
        let y = top(layers.get(index).copied().unwrap_or(0));
        Place {
            x,
            y,
            width,
            height: *height,
        }
    };
    let boxes = heights.iter().enumerate().map(place).collect();
    let bend = |index: &usize| {
        items
            .get(*index)
            .map(|item| (item.x + item.width / 2.0, top(item.layer)))
    };
    let bends = lanes.iter().map(|lane| lane.iter().filter_map(bend).collect());
    Layout {
        width: width + 2.0 * BETWEEN,
        height: y,
        boxes,
        bends: bends.collect(),
        back,
    }
}

/// Declared back edges, and those that close a cycle without being declared.
fn find_back(scene: &Scene) -> Vec<bool> {
    let mut back: Vec<bool> = scene.lines.iter().map(|line| line.back).collect();
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); scene.boxes.len()];
    for (index, line) in scene.lines.iter().enumerate().filter(|(_, line)| !line.back) {
        if let Some(lines) = leaving.get_mut(line.from) {
            lines.push(index);
        }
    }
    // 0: not seen, 1: on the way at hand, 2: done.
    let mut state = vec![0_u8; scene.boxes.len()];
    for start in 0..scene.boxes.len() {
        if state.get(start) != Some(&0) {
            continue;
        }
        let mut way = vec![(start, 0)];
        mark(&mut state, start, 1);
        while let Some((at, next)) = way.last_mut() {
            let line = leaving.get(*at).and_then(|lines| lines.get(*next)).copied();
            *next += 1;
            let Some(index) = line else {
                mark(&mut state, *at, 2);
                way.pop();
                continue;
            };
            let to = scene.lines.get(index).map_or(start, |line| line.to);
            match state.get(to) {
                Some(0) => {
                    mark(&mut state, to, 1);
                    way.push((to, 0));
                }
                Some(1) => {
                    if let Some(back) = back.get_mut(index) {
                        *back = true;
                    }
                }
                _ => {}
            }
        }
    }
    back
}

fn mark(state: &mut [u8], at: usize, to: u8) {
    if let Some(state) = state.get_mut(at) {
        *state = to;
    }
}

/// The longest way from a box that nothing leads to.
fn layers(scene: &Scene, back: &[bool]) -> Vec<usize> {
    let forward: Vec<&Line> = scene
        .lines
        .iter()
        .zip(back)
        .filter(|(_, back)| !**back)
        .map(|(line, _)| line)
        .collect();
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); scene.boxes.len()];
    let mut missing = vec![0_usize; scene.boxes.len()];
    for line in &forward {
        if let (Some(lines), Some(missing)) = (leaving.get_mut(line.from), missing.get_mut(line.to)) {
            lines.push(line.to);
            *missing += 1;
        }
    }
    let mut layers = vec![0; scene.boxes.len()];
    let mut free: Vec<usize> = (0..missing.len())
        .filter(|at| missing.get(*at) == Some(&0))
        .collect();
    while let Some(at) = free.pop() {
        let below = layers.get(at).copied().unwrap_or(0) + 1;
        for to in leaving.get(at).into_iter().flatten() {
            if let (Some(layer), Some(missing)) = (layers.get_mut(*to), missing.get_mut(*to)) {
                *layer = below.max(*layer);
                *missing -= 1;
                if *missing == 0 {
                    free.push(*to);
                }
            }
        }
    }
    layers
}

/// The boxes, then the places where lines pass layers; by line, which those are.
fn items(scene: &Scene, layers: &[usize], back: &[bool]) -> (Vec<Item>, Vec<Vec<usize>>) {
    let mut items: Vec<Item> = scene
        .boxes
        .iter()
        .zip(layers)
        .map(|(node, layer)| {
            let longest = node
                .texts
                .iter()
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0);
            let ports = node.inputs.max(node.outputs) as f64 * LANE;
            let width = longest as f64 * CHARACTER + 2.0 * PADDING;
            Item {
                layer: *layer,
                width: if node.shape == Shape::Port {
                    width
                } else {
                    width.max(ports)
                },
                ..Item::default()
            }
        })
        .collect();
    let mut lanes = Vec::with_capacity(scene.lines.len());
    for (line, back) in scene.lines.iter().zip(back) {
        let (from, to) = (layers.get(line.from).copied(), layers.get(line.to).copied());
        let (Some(from), Some(to), false) = (from, to, *back) else {
            lanes.push(Vec::new());
            continue;
        };
        let mut lane = Vec::new();
        let mut before = line.from;
        if items.len() + to.saturating_sub(from) < scene.boxes.len() + MOST_BENDS {
            for layer in from + 1..to {
                let index = items.len();
                items.push(Item {
                    layer,
                    width: LANE,
                    ..Item::default()
                });
                join(&mut items, before, index);
                lane.push(index);
                before = index;
            }
        }
        join(&mut items, before, line.to);
        lanes.push(lane);
    }
    (items, lanes)
}

fn join(items: &mut [Item], above: usize, below: usize) {
    if let Some(item) = items.get_mut(above) {
        item.below.push(below);
    }
    if let Some(item) = items.get_mut(below) {
        item.above.push(above);
    }
}

/// Orders each layer so that few lines cross.
fn order(items: &mut [Item]) -> Vec<Vec<usize>> {
    let count = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, item) in items.iter().enumerate() {
        if let Some(row) = rows.get_mut(item.layer) {
            row.push(index);
        }
    }
    number(&rows, items);
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..count {
            let layer = if down { step } else { count - 1 - step };
            let Some(row) = rows.get_mut(layer) else {
                continue;
            };
            let middle = |index: &usize| {
                let item = items.get(*index)?;
                let neighbours = if down { &item.above } else { &item.below };
                let sum: f64 = neighbours
                    .iter()
                    .filter_map(|near| items.get(*near))
                    .map(|near| near.x)
                    .sum();
                Some(if neighbours.is_empty() {
                    item.x
                } else {
                    sum / neighbours.len() as f64
                })
            };
            let mut sorted: Vec<(f64, usize)> = row
                .iter()
                .map(|index| (middle(index).unwrap_or(0.0), *index))
                .collect();
            sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
            *row = sorted.into_iter().map(|(_, index)| index).collect();
            number(std::slice::from_ref(row), items);
        }
    }
    rows
}

/// Until rooms are known, the place in the row stands for the room.
fn number(rows: &[Vec<usize>], items: &mut [Item]) {
    for row in rows {
        for (at, index) in row.iter().enumerate() {
            if let Some(item) = items.get_mut(*index) {
                item.x = (at as f64 + 0.5) / row.len() as f64;
            }
        }
    }
}

fn width_of(row: &[usize], items: &[Item]) -> f64 {
    let widths = row
        .iter()
        .filter_map(|index| items.get(*index))
        .map(|item| item.width);
    widths.sum::<f64>() + BETWEEN * row.len().saturating_sub(1) as f64
}
