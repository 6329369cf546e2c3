//! Buffers that are used again when the last packet that holds them is gone: a stream of frames or tensors then needs
//! no memory of its own for each.

use std::sync::Arc;

/// The buffers of one node. What is lent is shared with packets and comes back by itself.
#[derive(Debug)]
pub struct Buffers<T> {
    slots: Vec<Arc<T>>,
    most: usize,
    /// Where the search begins: the buffer that was lent first is free first.
    next: usize,
}

impl<T> Buffers<T> {
    /// Keeps at most `most` buffers. When all are lent, further ones are made for one use each.
    pub fn new(most: usize) -> Self {
        Self {
            slots: Vec::new(),
            most,
            next: 0,
        }
    }

    /// Fills a free buffer, or a new one, and lends it.
    pub fn lend<E>(
        &mut self,
        make: impl FnOnce() -> T,
        fill: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<Arc<T>, E> {
        let count = self.slots.len();
        for step in 0..count {
            let place = (self.next + step) % count;
            if let Some(slot) = self.slots.get_mut(place)
                && let Some(buffer) = Arc::get_mut(slot)
            {
                fill(buffer)?;
                self.next = place + 1;
                return Ok(Arc::clone(slot));
            }
        }
        let mut buffer = make();
        fill(&mut buffer)?;
        let buffer = Arc::new(buffer);
        if count < self.most {
            self.slots.push(Arc::clone(&buffer));
        }
        Ok(buffer)
    }

    /// Buffers kept, lent or free.
    pub fn kept(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lend(buffers: &mut Buffers<Vec<u8>>, value: u8) -> Arc<Vec<u8>> {
        let fill = |buffer: &mut Vec<u8>| {
            buffer.clear();
            buffer.push(value);
            Ok::<(), ()>(())
        };
        buffers.lend(Vec::new, fill).unwrap()
    }

    #[test]
    fn comes_back_when_nobody_holds_it() {
        let mut buffers = Buffers::new(2);
        let first = lend(&mut buffers, 1);
        let place = first.as_ptr();
        let second = lend(&mut buffers, 2);
        drop(first);
        let third = lend(&mut buffers, 3);
        assert_eq!((third.as_ptr(), third[0], second[0]), (place, 3, 2));
        assert_eq!(buffers.kept(), 2);
    }

    #[test]
    fn more_than_it_keeps_are_made_and_forgotten() {
        let mut buffers = Buffers::new(1);
        let held: Vec<_> = (0..3).map(|value| lend(&mut buffers, value)).collect();
        assert_eq!(held.iter().map(|buffer| buffer[0]).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(buffers.kept(), 1);
    }
}
