//! The picture as text.

use std::fmt::Write as _;

use super::layers::{Layout, Place};
use super::scene::{Line, Node, Scene, Shape};

const STYLE: &str = "text{font:13px sans-serif;fill:#1f2933}.name{font-weight:600}.node{fill:#eef4fb;stroke:#38618c}\
                     .port{fill:#fff;stroke:#829ab1}.line{fill:none;stroke:#486581}.back{stroke-dasharray:5 4}\
                     .label{font-size:11px;fill:#486581;paint-order:stroke;stroke:#fff;stroke-width:3px}";

pub(super) fn render(scene: &Scene, layout: &Layout) -> String {
    let mut out = String::new();
    let (width, height) = (layout.width, layout.height);
    // Writing to a String can't fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\">\n<style>{STYLE}</style>\n<defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#486581\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    let mut labels = String::new();
    for (index, line) in scene.lines.iter().enumerate() {
        let back = layout.back.get(index).copied().unwrap_or_default();
        let bends = layout.bends.get(index).map_or(&[][..], Vec::as_slice);
        draw_line(&mut out, &mut labels, scene, layout, line, bends, back);
    }
    for (node, place) in scene.boxes.iter().zip(&layout.boxes) {
        draw_box(&mut out, node, *place);
    }
    out.push_str(&labels);
    out.push_str("</svg>\n");
    out
}

fn draw_box(out: &mut String, node: &Node, place: Place) {
    let (class, radius) = match node.shape {
        Shape::Node => ("node", 4.0),
        Shape::Port => ("port", place.height / 2.0),
    };
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius:.1}\"/>",
        place.x, place.y, place.width, place.height
    );
    for (index, text) in node.texts.iter().enumerate() {
        let class = if index == 0 && node.shape == Shape::Node {
            " class=\"name\""
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<text{class} text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            place.x + place.width / 2.0,
            place.y + 19.0 + index as f64 * 17.0,
            escaped(text)
        );
    }
}

fn draw_line(
    out: &mut String,
    labels: &mut String,
    scene: &Scene,
    layout: &Layout,
    line: &Line,
    bends: &[(f64, f64)],
    back: bool,
) {
    let port = |at: usize, index: usize, count: fn(&Node) -> usize| {
        let place = layout.boxes.get(at).copied().unwrap_or_default();
        let of = scene.boxes.get(at).map_or(1, count);
        (
            place,
            place.x + place.width * (index as f64 + 1.0) / (of as f64 + 1.0),
        )
    };
    let (from, start_x) = port(line.from, line.output, |node| node.outputs);
    let (to, end_x) = port(line.to, line.input, |node| node.inputs);
    let (start, end) = ((start_x, from.y + from.height), (end_x, to.y));
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    if back {
        // Down, round the right side of both boxes, and in from above.
        let right = (from.x + from.width).max(to.x + to.width) + 24.0;
        let (low, high) = (start.1 + 24.0, end.1 - 24.0);
        let _ = write!(
            path,
            "C{:.1} {low:.1} {right:.1} {low:.1} {right:.1} {:.1}L{right:.1} {:.1}C{right:.1} {high:.1} {:.1} {high:.1} \
             {:.1} {:.1}",
            start.0, start.1, end.1, end.0, end.0, end.1
        );
    } else {
        let mut before = start;
        for point in bends.iter().copied().chain([end]) {
            let middle = f64::midpoint(before.1, point.1);
            let _ = write!(
                path,
                "C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}",
                before.0, point.0, point.0, point.1
            );
            before = point;
        }
    }
    let class = if back { "line back" } else { "line" };
    let _ = writeln!(
        out,
        "<path class=\"{class}\" marker-end=\"url(#end)\" d=\"{path}\"/>"
    );
    // Next to the end, so that the readers of one stream have a label each.
    let near = bends.last().copied().unwrap_or(start);
    let (x, y) = if back {
        (end.0 + 4.0, end.1 - 8.0)
    } else {
        (near.0 + (end.0 - near.0) * 0.7, near.1 + (end.1 - near.1) * 0.7)
    };
    let _ = writeln!(
        labels,
        "<text class=\"label\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
        x + 3.0,
        escaped(&line.stream)
    );
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no words for these.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
