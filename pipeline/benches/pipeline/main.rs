//! Figures of the runtime as printed tables, all of one run: `cargo bench -p pipeline -- [SECTION ...]`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints measurements"
)]

mod hop;
mod live;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let sections: [(&str, fn()); 5] = [
        ("hop", hop::print),
        ("paced", live::paced),
        ("overload", live::overload),
        ("stages", live::stages),
        ("cameras", live::cameras),
    ];
    for (name, print) in sections {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            print();
        }
    }
}
