//! Builds one graph: nodes, constants, attributes.

use prost::Message as _;

use crate::proto::{
    Attribute, Dimension, FLOAT, FLOATS, Graph, INT, INT8S, INT32S, INT64S, INTS, Metadata, Model, Node,
    OperatorSet, Shape, TENSOR, TensorData, TensorType, Type, UINT8S, ValueInfo,
};

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

#[derive(Debug, Default)]
pub(crate) struct Builder {
    nodes: Vec<Node>,
    initializers: Vec<TensorData>,
}

impl Builder {
    /// Adds a node; its one output is named `output`, which is handed back.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes.push(Node {
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            outputs: vec![output.to_owned()],
            operator: operator.to_owned(),
            attributes,
        });
        output.to_owned()
    }

    /// Numbers stored in the file.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize], data: &[f32]) {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, FLOATS, shape, raw);
    }

    pub(crate) fn bytes(&mut self, name: &str, shape: &[usize], data: &[i8]) {
        let raw = data.iter().map(|value| value.to_le_bytes()[0]).collect();
        self.initializer(name, INT8S, shape, raw);
    }

    /// So many zero bytes, stored once for each number of them.
    pub(crate) fn zeros(&mut self, count: usize) -> String {
        let name = format!("zeros.{count}");
        if !self.initializers.iter().any(|tensor| tensor.name == name) {
            self.bytes(&name, &[count], &vec![0; count]);
        }
        name
    }

    pub(crate) fn integers(&mut self, name: &str, shape: &[usize], data: &[i32]) {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, INT32S, shape, raw);
    }

    /// One byte, stored under its own name.
    pub(crate) fn byte(&mut self, name: &str, value: u8) {
        self.initializer(name, UINT8S, &[], vec![value]);
    }

    /// One number, stored once however often it is used.
    pub(crate) fn scalar(&mut self, name: &str, value: f32) {
        if !self.initializers.iter().any(|tensor| tensor.name == name) {
            self.floats(name, &[], &[value]);
        }
    }

    /// A tensor of one number everywhere, without its bytes: the runtime makes it when it loads the file.
    pub(crate) fn filled(&mut self, name: &str, shape: &[usize], value: f32) {
        let dims = format!("{name}.dims");
        let raw = shape
            .iter()
            .flat_map(|size| (*size as i64).to_le_bytes())
            .collect();
        self.initializer(&dims, INT64S, &[shape.len()], raw);
        let value = TensorData {
            dims: vec![1],
            data_type: FLOATS,
            name: String::new(),
            raw: value.to_le_bytes().to_vec(),
        };
        let attribute = Attribute {
            name: "value".to_owned(),
            tensor: Some(value),
            kind: TENSOR,
            ..Attribute::default()
        };
        self.node("ConstantOfShape", &[&dims], name, vec![attribute]);
    }

    /// The file; the output of the last node is the graph's.
    pub(crate) fn finish(mut self, about: &str, input: (&str, &[u32]), output: (&str, &[u32])) -> Vec<u8> {
        if let Some(last) = self.nodes.last_mut() {
            last.outputs = vec![output.0.to_owned()];
        }
        let graph = Graph {
            nodes: self.nodes,
            name: "haizen".to_owned(),
            initializers: self.initializers,
            inputs: vec![value(input)],
            outputs: vec![value(output)],
        };
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "haizen".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSet {
                domain: String::new(),
                version: OPSET,
            }],
            metadata: vec![Metadata {
                key: "haizen.architecture".to_owned(),
                value: about.to_owned(),
            }],
        };
        model.encode_to_vec()
    }

    fn initializer(&mut self, name: &str, data_type: i32, shape: &[usize], raw: Vec<u8>) {
        let dims = shape.iter().map(|size| *size as i64).collect();
        self.initializers.push(TensorData {
            dims,
            data_type,
            name: name.to_owned(),
            raw,
        });
    }
}

pub(crate) fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        int: Some(value),
        kind: INT,
        ..Attribute::default()
    }
}

pub(crate) fn ints(name: &str, values: &[u32]) -> Attribute {
    let ints = values.iter().map(|value| i64::from(*value)).collect();
    Attribute {
        name: name.to_owned(),
        ints,
        kind: INTS,
        ..Attribute::default()
    }
}

pub(crate) fn float(name: &str, value: f32) -> Attribute {
    Attribute {
        name: name.to_owned(),
        float: Some(value),
        kind: FLOAT,
        ..Attribute::default()
    }
}

fn value((name, shape): (&str, &[u32])) -> ValueInfo {
    let dims = shape
        .iter()
        .map(|size| Dimension {
            value: Some(i64::from(*size)),
        })
        .collect();
    let tensor = TensorType {
        element: FLOATS,
        shape: Some(Shape { dims }),
    };
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type { tensor: Some(tensor) }),
    }
}
