use std::io::Write as _;

use super::*;

/// Writes an IDX file of bytes.
fn idx(folder: &Path, name: &str, dims: &[u32], bytes: &[u8]) {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    file.extend(dims.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    if Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "gz")
    {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&file).unwrap();
        file = gz.finish().unwrap();
    }
    std::fs::write(folder.join(name), file).unwrap();
}

/// A folder of `n` images of 4×4 in two classes: bright above or bright below.
pub(crate) fn folder(n: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<_> = (0..n).map(|i| i % 2).collect();
    let pixel = |i: u8, p: u8| {
        if (p < 8) == i.is_multiple_of(2) {
            200 + i % 50
        } else {
            i % 50
        }
    };
    let pixels: Vec<_> = (0..n).flat_map(|i| (0..16).map(move |p| pixel(i, p))).collect();
    for prefix in ["train", "t10k"] {
        idx(
            folder.path(),
            &format!("{prefix}-images-idx3-ubyte.gz"),
            &[u32::from(n), 4, 4],
            &pixels,
        );
        idx(
            folder.path(),
            &format!("{prefix}-labels-idx1-ubyte"),
            &[u32::from(n)],
            &labels,
        );
    }
    folder
}

fn load(folder: &Path) -> Result<Dataset, DataError> {
    Dataset::load(&format!("file://{}", folder.display()))?.fitted(4, 1, 2)
}

#[test]
fn reads_plain_and_gzipped_files() {
    let folder = folder(10);
    let data = load(folder.path()).unwrap();
    assert_eq!(
        (data.train.len(), data.test.height, data.test.channels),
        (10, 4, 1)
    );
    assert_eq!(data.train.labels[..4], [0, 1, 0, 1]);
}

#[test]
fn says_what_is_broken_and_where() {
    let message = |change: &dyn Fn(&Path)| {
        let folder = folder(10);
        change(folder.path());
        let message = load(folder.path()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "DIR")
    };
    let labels =
        |count: u32, bytes: Vec<u8>| move |dir: &Path| idx(dir, "train-labels-idx1-ubyte", &[count], &bytes);
    assert_eq!(
        message(&labels(9, vec![0; 9])),
        "DIR/train-labels-idx1-ubyte: 9 labels for 10 images"
    );
    assert_eq!(
        message(&labels(10, vec![0, 1, 0, 2, 0, 0, 0, 0, 0, 0])),
        "DIR/train-images-idx3-ubyte.gz: record 3 has label 2, the network tells 2 classes apart"
    );
    assert_eq!(
        message(&labels(10, vec![1; 10])),
        "DIR/train-images-idx3-ubyte.gz: all images have the same label"
    );
    assert_eq!(
        message(&|dir| idx(dir, "t10k-images-idx3-ubyte", &[10, 4, 4], &[7; 33])),
        "DIR/t10k-images-idx3-ubyte: ends in record 2 of 10"
    );
    assert_eq!(
        message(&|dir| std::fs::write(dir.join("t10k-images-idx3-ubyte"), b"PNG!....").unwrap()),
        "DIR/t10k-images-idx3-ubyte: starts with [50, 4e, 47, 21], an IDX file of bytes with [00, 00, 08, …]"
    );
    assert_eq!(
        message(&|dir| idx(dir, "t10k-images-idx3-ubyte", &[u32::MAX, u32::MAX, 2], &[])),
        "DIR/t10k-images-idx3-ubyte: the header speaks of [4294967295, 4294967295, 2] bytes"
    );
    assert!(
        message(&|dir| std::fs::remove_file(dir.join("train-labels-idx1-ubyte")).unwrap())
            .starts_with("neither train-labels")
    );
    let empty = |dir: &Path| {
        idx(dir, "train-images-idx3-ubyte", &[0, 4, 4], &[]);
        idx(dir, "train-labels-idx1-ubyte", &[0], &[]);
    };
    assert_eq!(message(&empty), "DIR/train-images-idx3-ubyte: no image in it");
    assert!(
        Dataset::load("s3://bucket/x")
            .unwrap_err()
            .to_string()
            .contains("only file://")
    );
}

#[test]
fn resizes_to_the_networks_resolution() {
    let folder = folder(10);
    let data = load(folder.path()).unwrap().fitted(8, 1, 2).unwrap();
    assert_eq!((data.train.height, data.train.pixels.len()), (8, 640));
    assert_eq!((data.train.pixels[0], data.train.pixels[63]), (200, 0));
}

#[test]
fn a_batch_depends_only_on_its_place() {
    let folder = folder(40);
    let images = load(folder.path()).unwrap().train;
    let indices: Vec<_> = (0..40).collect();
    let batches = |epoch| {
        Batches::new(
            &images,
            &indices,
            8,
            Augmentation { shift: 1, flip: true },
            (7, epoch),
        )
    };
    let (again, other) = (batches(1).get(3).unwrap(), batches(2).get(3).unwrap());
    let first = batches(1);
    assert_eq!(first.count(), 5);
    assert_eq!(first.get(3).unwrap(), again);
    assert_ne!(first.get(3).unwrap().0, other.0);
    assert_eq!(first.get(0).unwrap().0.size(), [8, 1, 4, 4]);
}

#[test]
fn an_unaugmented_image_is_itself() {
    let folder = folder(4);
    let images = load(folder.path()).unwrap().train;
    let (pixels, labels) = whole(&images, &[1]).unwrap();
    let found = Vec::<f32>::try_from(pixels.reshape([-1])).unwrap();
    let wanted: Vec<_> = images.pixels[16..32]
        .iter()
        .map(|p| f32::from(*p) / 255.0)
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(labels.int64_value(&[0]), 1);
}
