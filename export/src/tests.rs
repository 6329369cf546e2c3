use prost::Message as _;
use search::latency::calibration_nets;
use search::space::{Layer, SearchSpaceConfig, Space};

use super::*;
use crate::proto::Model;

fn net(text: &str) -> Architecture {
    text.parse().unwrap()
}

/// Every operator and, of initializers, the number of floats.
fn outline(file: &OnnxFile) -> (Vec<String>, usize) {
    let model = Model::decode(file.bytes.as_slice()).unwrap();
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
    let graph = model.graph.unwrap();
    let floats = graph
        .initializers
        .iter()
        .filter(|tensor| tensor.data_type == proto::FLOATS);
    (
        graph.nodes.into_iter().map(|node| node.operator).collect(),
        floats.map(|tensor| tensor.raw.len() / 4).sum(),
    )
}

/// Weights that are right in name and shape.
fn weights(architecture: &Architecture) -> Weights {
    let mut weights = Weights::default();
    let mut put = |name: String, shape: Vec<usize>| {
        let data = vec![0.5; shape.iter().product()];
        weights.0.insert(name, Tensor { shape, data });
    };
    for (index, block) in architecture.blocks().iter().enumerate() {
        for layer in block.layers() {
            match layer {
                Layer::Convolution(c) => {
                    let shape = [c.outputs, c.inputs / c.groups, c.kernel, c.kernel];
                    put(
                        format!("{index}.{}.weight", c.name),
                        shape.map(|size| size as usize).to_vec(),
                    );
                    for part in ["weight", "bias", "running_mean", "running_var"] {
                        put(
                            format!("{index}.{}.norm.{part}", c.name),
                            vec![c.outputs as usize],
                        );
                    }
                }
                Layer::SqueezeExcite {
                    channels, squeezed, ..
                } => {
                    let (channels, squeezed) = (channels as usize, squeezed as usize);
                    put(format!("{index}.reduce.weight"), vec![squeezed, channels, 1, 1]);
                    put(format!("{index}.reduce.bias"), vec![squeezed]);
                    put(
                        format!("{index}.expand_se.weight"),
                        vec![channels, squeezed, 1, 1],
                    );
                    put(format!("{index}.expand_se.bias"), vec![channels]);
                }
                Layer::Pool { .. } => {}
                Layer::Linear {
                    name,
                    inputs,
                    outputs,
                    ..
                } => {
                    put(
                        format!("{index}.{name}.weight"),
                        vec![outputs as usize, inputs as usize],
                    );
                    put(format!("{index}.{name}.bias"), vec![outputs as usize]);
                }
            }
        }
    }
    weights
}

#[test]
fn a_block_carries_no_numbers() {
    let file = profile_block(&"ir-c16-h64-o16-r14-k5-s1-se-relu6".parse().unwrap());
    let (operators, floats) = outline(&file);
    let operators: Vec<_> = operators
        .into_iter()
        .filter(|operator| operator != "ConstantOfShape")
        .collect();
    assert_eq!(
        operators.join(" "),
        "Conv Clip Conv Clip GlobalAveragePool Conv Relu Conv HardSigmoid Mul Conv Add"
    );
    assert_eq!(floats, 2, "only the bounds of the activation");
    assert!(file.bytes.len() < 2500, "{}", file.bytes.len());
    assert_eq!(file.sha256.len(), 64);
}

#[test]
fn a_whole_profile_is_a_small_message() {
    let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
    let sizes: Vec<_> = space
        .block_keys()
        .iter()
        .map(|key| profile_block(key).bytes.len())
        .collect();
    assert!(sizes.iter().sum::<usize>() < 160_000, "{sizes:?}");
    for net in calibration_nets(&space, 20, 1) {
        assert!(profile_net(&net).bytes.len() < 20_000);
    }
}

#[test]
fn counted_parameters_and_size_are_those_of_the_file() {
    let configs = [
        r#"{"mobileBlocks":{}}"#,
        r#"{"mobileBlocks":{"preset":"mobile","squeezeExcite":[true],"activation":"hardSwish"}}"#,
    ];
    for config in configs {
        let space = Space::from_config(&serde_json::from_str(config).unwrap()).unwrap();
        for net in calibration_nets(&space, 20, 1) {
            let file = trained_net(&net, &weights(&net)).unwrap();
            let (_, floats) = outline(&file);
            let cost = net.cost();
            assert!(
                (cost.parameters..=cost.parameters + 2).contains(&(floats as u64)),
                "{floats} {cost:?}"
            );
            let bytes = file.bytes.len() as u64;
            assert!(
                (bytes..bytes + 20_000).contains(&cost.model_bytes),
                "{bytes} {cost:?}"
            );
        }
    }
}

#[test]
fn batch_normalisation_is_folded() {
    let net = net("m1/16x1/stem-h1-o8-k1-s2-relu/head-h8-o2-k1-s1-relu");
    let mut weights = weights(&net);
    for (part, value) in [
        ("weight", 3.0),
        ("bias", 1.0),
        ("running_mean", 2.0),
        ("running_var", 4.0 - 1e-5),
    ] {
        weights.0.get_mut(&format!("0.conv.norm.{part}")).unwrap().data = vec![value; 8];
    }
    let folded = fold::fold(&net.blocks(), &weights).unwrap();
    // 0.5 · 3/2 and 1 − 2 · 3/2.
    assert_eq!(folded.0["0.conv.weight"].data, [0.75; 8]);
    assert_eq!(folded.0["0.conv.bias"].data, [-2.0; 8]);
    assert_eq!(folded.0["1.linear.weight"], weights.0["1.linear.weight"]);
}

#[test]
fn wrong_weights_are_named() {
    let net = net("m1/16x1/stem-h1-o8-k3-s2-relu/head-h8-o2-k1-s1-relu");
    let broken = |change: &dyn Fn(&mut Weights)| {
        let mut weights = weights(&net);
        change(&mut weights);
        trained_net(&net, &weights).unwrap_err().to_string()
    };
    assert_eq!(
        broken(&|w| drop(w.0.remove("1.linear.bias"))),
        r#"the weights have no tensor "1.linear.bias""#
    );
    assert_eq!(
        broken(&|w| w.0.get_mut("0.conv.weight").unwrap().shape = vec![8, 9]),
        r#"tensor "0.conv.weight" has shape [8, 9], the architecture wants [8, 1, 3, 3]"#
    );
    assert_eq!(
        broken(&|w| w.0.get_mut("1.conv.weight").unwrap().data[3] = f32::NAN),
        r#"tensor "1.conv.weight" holds NaN: the training diverged"#
    );
}
