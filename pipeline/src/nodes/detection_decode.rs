//! A detector's tensors to detections: detectors that mark the middle of each thing on a coarse map.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Arity, Contract, Port};
use crate::detection::{Detection, Detections, Point, Rect};
use crate::mapping::Mapping;
use crate::node::{Calculator, Context, Flow, Node, NodeError};
use crate::options::OptionError;
use crate::tensor::{Tensor, shape_text};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Less sure detections are left out: 0 to 1.
    min_score: f32,
    /// Pixels of the model's input per cell of its maps.
    stride: f32,
    /// The surest are kept when there are more.
    max_detections: usize,
    /// Names of the classes, in the model's order.
    labels: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_score: 0.5,
            stride: 4.0,
            max_detections: 500,
            labels: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct DetectionDecode {
    options: Options,
    landmarks: Option<usize>,
    mapping: Option<usize>,
}

impl Calculator for DetectionDecode {
    const NAME: &'static str = "DetectionDecode";
    const DOC: &'static str = "Reads detections from the maps of a detector like CenterFace (Xu et al. 2019): HEATMAP \
                               tells how sure a cell is to be the middle of something, SCALE the logarithm of its \
                               height and width in cells, OFFSET where in the cell the middle is (y, x), LANDMARKS \
                               places as y and x in parts of the box. With MAPPING from ImageToTensor places are \
                               those in the frame. Follow it with NonMaxSuppression.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        let map = |tag, doc| Port::of::<Tensor>(tag).doc(doc);
        Contract::default()
            .stateless()
            .input(map("HEATMAP", "1×classes×rows×columns"))
            .input(map("SCALE", "1×2×rows×columns: height, width"))
            .input(map("OFFSET", "1×2×rows×columns: y, x"))
            .input(map("LANDMARKS", "1×2n×rows×columns: y, x of each").arity(Arity::Optional))
            .input(
                Port::of::<Mapping>("MAPPING")
                    .arity(Arity::Optional)
                    .doc("where the model's pixels lie in the frame"),
            )
            .output(Port::of::<Detections>("").doc("what was found, the surest first"))
            .offset(0)
    }

    fn check(options: &Options) -> Result<(), OptionError> {
        if !(0.0..=1.0).contains(&options.min_score) {
            return Err(OptionError::value(
                "minScore",
                format!("{} isn't possible; use 0 to 1", options.min_score),
            ));
        }
        if !(options.stride > 0.0 && options.stride.is_finite()) {
            return Err(OptionError::value("stride", "must be above 0"));
        }
        Ok(())
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            landmarks: None,
            mapping: None,
        }
    }
}

impl Node for DetectionDecode {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.landmarks = ctx.input_index("LANDMARKS", 0);
        self.mapping = ctx.input_index("MAPPING", 0);
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let (Some(heat), Some(scale), Some(offset)) = (
            ctx.get::<Tensor>(0)?,
            ctx.get::<Tensor>(1)?,
            ctx.get::<Tensor>(2)?,
        ) else {
            return Ok(Flow::Continue);
        };
        let landmarks = match self.landmarks {
            Some(input) => ctx.get::<Tensor>(input)?,
            None => None,
        };
        let mapping = match self.mapping {
            Some(input) => ctx.get::<Mapping>(input)?.copied(),
            None => None,
        };
        let maps = Maps::new(heat, scale, offset, landmarks)?;
        let found = self.decode(&maps, mapping.unwrap_or(Mapping::SAME));
        ctx.send_value(0, Detections { found });
        Ok(Flow::Continue)
    }
}

impl DetectionDecode {
    fn decode(&self, maps: &Maps<'_>, mapping: Mapping) -> Vec<Detection> {
        let mut sure: Vec<(usize, f32)> = maps.heat.iter().copied().enumerate().collect();
        sure.retain(|(_, score)| *score > self.options.min_score);
        sure.sort_by(|(left_cell, left), (right_cell, right)| {
            right.total_cmp(left).then(left_cell.cmp(right_cell))
        });
        sure.truncate(self.options.max_detections);
        let decoded = sure.into_iter().map(|(index, score)| {
            let (class, cell) = (index / maps.cells(), index % maps.cells());
            let (rect, landmarks) = self.place(maps, cell);
            Detection {
                rect: mapping.rect(rect),
                score,
                class,
                label: self.options.labels.get(class).cloned(),
                landmarks: landmarks.into_iter().map(|point| mapping.point(point)).collect(),
                track: None,
            }
        });
        decoded.collect()
    }

    /// A cell's box, kept within the picture, and its landmarks, in the model's pixels.
    fn place(&self, maps: &Maps<'_>, cell: usize) -> (Rect, Vec<Point>) {
        let stride = self.options.stride;
        let size = |plane| maps.at(maps.scale, plane, cell).exp() * stride;
        let (height, width) = (size(0), size(1));
        let middle =
            |position: usize, plane| (position as f32 + maps.at(maps.offset, plane, cell) + 0.5) * stride;
        let (right, bottom) = (maps.columns as f32 * stride, maps.rows as f32 * stride);
        let x = (middle(cell % maps.columns, 1) - width / 2.0).clamp(0.0, right);
        let y = (middle(cell / maps.columns, 0) - height / 2.0).clamp(0.0, bottom);
        let rect = Rect {
            x,
            y,
            width: (x + width).min(right) - x,
            height: (y + height).min(bottom) - y,
        };
        let points = maps.landmarks.len() / maps.cells() / 2;
        let landmark = |point: usize| Point {
            x: maps.at(maps.landmarks, point * 2 + 1, cell) * width + x,
            y: maps.at(maps.landmarks, point * 2, cell) * height + y,
        };
        (rect, (0..points).map(landmark).collect())
    }
}

/// The maps of one frame: planes of rows × columns after one another.
struct Maps<'a> {
    rows: usize,
    columns: usize,
    heat: &'a [f32],
    scale: &'a [f32],
    offset: &'a [f32],
    landmarks: &'a [f32],
}

impl<'a> Maps<'a> {
    fn new(
        heat: &'a Tensor,
        scale: &'a Tensor,
        offset: &'a Tensor,
        landmarks: Option<&'a Tensor>,
    ) -> Result<Self, NodeError> {
        let [1, _, rows, columns] = *heat.shape() else {
            return Err(misfit("HEATMAP", heat, "1×classes×rows×columns"));
        };
        let map = |name, tensor: &'a Tensor, planes: Option<usize>| {
            let fits = match *tensor.shape() {
                [1, found, r, c] => (r, c) == (rows, columns) && planes.is_none_or(|planes| planes == found),
                _ => false,
            };
            let planes = planes.map_or("2n".to_owned(), |planes| planes.to_string());
            let wanted = || misfit(name, tensor, &format!("1×{planes}×{rows}×{columns}"));
            tensor.as_f32().filter(|_| fits).ok_or_else(wanted)
        };
        if rows == 0 || columns == 0 {
            return Err(misfit("HEATMAP", heat, "1×classes×rows×columns, none of them 0"));
        }
        Ok(Self {
            rows,
            columns,
            heat: map("HEATMAP", heat, None)?,
            scale: map("SCALE", scale, Some(2))?,
            offset: map("OFFSET", offset, Some(2))?,
            landmarks: landmarks.map_or(Ok(&[][..]), |tensor| map("LANDMARKS", tensor, None))?,
        })
    }

    fn cells(&self) -> usize {
        self.rows * self.columns
    }

    fn at(&self, map: &[f32], plane: usize, cell: usize) -> f32 {
        map.get(plane * self.cells() + cell).copied().unwrap_or(0.0)
    }
}

fn misfit(name: &str, tensor: &Tensor, wanted: &str) -> NodeError {
    let (element, shape) = (tensor.element(), shape_text(tensor.shape()));
    NodeError::Failed(format!("{name} is {element} {shape}, but must be f32 {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(planes: usize, values: &[(usize, f32)]) -> Tensor {
        let mut data = vec![0.0; planes * 6];
        for (index, value) in values {
            data[*index] = *value;
        }
        Tensor::f32(vec![1, planes, 2, 3], data).unwrap()
    }

    #[test]
    fn a_middle_becomes_a_box_with_landmarks() {
        // Cell 4: row 1, column 1. Two cells high, one wide; a quarter of a cell down.
        let (heat, offset) = (tensor(1, &[(4, 0.9), (0, 0.3)]), tensor(2, &[(4, 0.25)]));
        let scale = tensor(2, &[(4, 2.0_f32.ln()), (10, 0.0)]);
        let landmarks = tensor(2, &[(4, 0.5), (10, 0.25)]);
        let maps = Maps::new(&heat, &scale, &offset, Some(&landmarks)).unwrap();
        let found = DetectionDecode::new(Options::default()).decode(&maps, Mapping::SAME);
        assert_eq!(found.len(), 1);
        let rect = Rect {
            x: 4.0,
            y: 3.0,
            width: 4.0,
            height: 5.0,
        };
        assert_eq!((found[0].rect, found[0].score), (rect, 0.9));
        assert_eq!(found[0].landmarks, [Point { x: 5.0, y: 7.0 }]);
    }

    #[test]
    fn maps_of_different_sizes_are_named() {
        let (heat, scale) = (tensor(1, &[]), tensor(1, &[]));
        let error = Maps::new(&heat, &scale, &scale, None).err().unwrap();
        assert_eq!(error.to_string(), "SCALE is f32 1×1×2×3, but must be f32 1×2×2×3");
    }
}
