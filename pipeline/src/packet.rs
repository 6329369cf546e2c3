//! A packet: one shared value at one time. Copying a packet copies the handle, never the value.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use crate::frame::Frame;
use crate::tensor::Tensor;
use crate::timestamp::Timestamp;

/// A payload type by identity and by the name shown to users.
#[derive(Clone, Copy)]
pub struct TypeInfo {
    id: TypeId,
    name: &'static str,
}

impl TypeInfo {
    pub fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: short_name(std::any::type_name::<T>()),
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl PartialEq for TypeInfo {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for TypeInfo {}

impl fmt::Debug for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Last segment of a plain type's path; what has parameters is left as it is.
fn short_name(path: &'static str) -> &'static str {
    if path.contains(['<', '(', '[', '&']) {
        path
    } else {
        path.rsplit("::").next().unwrap_or(path)
    }
}

/// Anything a packet can carry.
trait Value: Any + Send + Sync {
    fn type_info(&self) -> TypeInfo;
    fn bytes(&self) -> usize;
}

impl<T: Send + Sync + 'static> Value for T {
    fn type_info(&self) -> TypeInfo {
        TypeInfo::of::<T>()
    }

    fn bytes(&self) -> usize {
        let value: &dyn Any = self;
        if let Some(frame) = value.downcast_ref::<Frame>() {
            frame.data().len()
        } else if let Some(tensor) = value.downcast_ref::<Tensor>() {
            tensor.data().bytes()
        } else {
            size_of::<T>()
        }
    }
}

/// A shared value of some type.
#[derive(Clone)]
pub struct Payload(Arc<dyn Value>);

impl Payload {
    pub fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// Shares a value that the caller keeps, so that its memory can be used again when no packet holds it.
    pub fn shared<T: Send + Sync + 'static>(value: Arc<T>) -> Self {
        Self(value)
    }

    pub fn type_info(&self) -> TypeInfo {
        (*self.0).type_info()
    }

    /// Memory of the value: of frames and tensors what they hold, of others their own size.
    pub fn bytes(&self) -> usize {
        (*self.0).bytes()
    }

    pub fn get<T: 'static>(&self) -> Option<&T> {
        let value: &dyn Any = &*self.0;
        value.downcast_ref()
    }

    /// Whether both share one value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn into_arc<T: Send + Sync + 'static>(self) -> Option<Arc<T>> {
        let value: Arc<dyn Any + Send + Sync> = self.0;
        value.downcast().ok()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({})", self.type_info())
    }
}

/// Why a packet didn't give what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("the packet at {timestamp} holds {found}, not {wanted}")]
    Type {
        wanted: &'static str,
        found: &'static str,
        timestamp: Timestamp,
    },
    #[error("no packet of type {wanted} at {timestamp}")]
    Empty {
        wanted: &'static str,
        timestamp: Timestamp,
    },
}

/// A value at a time; without a value: the knowledge that there is none at that time.
#[derive(Debug, Clone)]
pub struct Packet {
    timestamp: Timestamp,
    payload: Option<Payload>,
}

impl Packet {
    pub fn new<T: Send + Sync + 'static>(value: T, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            payload: Some(Payload::new(value)),
        }
    }

    pub fn from_payload(payload: Payload, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            payload: Some(payload),
        }
    }

    pub const fn empty(timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            payload: None,
        }
    }

    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    pub fn is_empty(&self) -> bool {
        self.payload.is_none()
    }

    pub fn payload(&self) -> Option<&Payload> {
        self.payload.as_ref()
    }

    /// The same value at another time.
    pub fn at(&self, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            payload: self.payload.clone(),
        }
    }

    pub fn get<T: 'static>(&self) -> Result<&T, PacketError> {
        let payload = self.payload.as_ref().ok_or_else(|| self.empty_error::<T>())?;
        payload
            .get()
            .ok_or_else(|| self.type_error::<T>(payload.type_info()))
    }

    /// The value itself where this packet is its only holder, else the shared handle.
    pub fn into_value<T: Send + Sync + 'static>(self) -> Result<Result<T, Arc<T>>, PacketError> {
        let timestamp = self.timestamp;
        let empty = PacketError::Empty {
            wanted: TypeInfo::of::<T>().name,
            timestamp,
        };
        let payload = self.payload.ok_or(empty)?;
        let found = payload.type_info().name;
        let wrong = PacketError::Type {
            wanted: TypeInfo::of::<T>().name,
            found,
            timestamp,
        };
        Ok(Arc::try_unwrap(payload.into_arc::<T>().ok_or(wrong)?))
    }

    fn empty_error<T: 'static>(&self) -> PacketError {
        PacketError::Empty {
            wanted: TypeInfo::of::<T>().name,
            timestamp: self.timestamp,
        }
    }

    fn type_error<T: 'static>(&self, found: TypeInfo) -> PacketError {
        PacketError::Type {
            wanted: TypeInfo::of::<T>().name,
            found: found.name,
            timestamp: self.timestamp,
        }
    }
}

/// A value given once for a whole run, without a time: a model, a setting.
#[derive(Debug, Clone)]
pub struct SidePacket(Payload);

impl SidePacket {
    pub fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Payload::new(value))
    }

    pub fn from_payload(payload: Payload) -> Self {
        Self(payload)
    }

    pub fn payload(&self) -> &Payload {
        &self.0
    }

    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()
    }

    pub fn type_info(&self) -> TypeInfo {
        self.0.type_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    #[test]
    fn value_comes_back_by_its_type_only() {
        let packet = Packet::new(7_i64, at(3));
        assert_eq!(packet.get::<i64>(), Ok(&7));
        let error = packet.get::<String>().unwrap_err();
        assert_eq!(error.to_string(), "the packet at 3 holds i64, not String");
        assert_eq!(
            Packet::empty(at(3)).get::<i64>().unwrap_err().to_string(),
            "no packet of type i64 at 3"
        );
    }

    #[test]
    fn only_holder_gets_the_value_itself() {
        let packet = Packet::new(vec![1_u8, 2], at(0));
        let copy = packet.clone();
        assert!(packet.into_value::<Vec<u8>>().unwrap().is_err());
        assert_eq!(copy.into_value::<Vec<u8>>().unwrap(), Ok(vec![1, 2]));
    }
}
