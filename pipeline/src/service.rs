//! Graph services: objects that the program lends to the nodes of a graph, by key and type.
//!
//! A graph names its side packets; of services it knows nothing. A calculator asks for one in its contract, and all
//! nodes of the graph, those of its subgraphs too, see the same object.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use crate::packet::{Payload, TypeInfo};
use crate::run::StartError;
use crate::validate::plan::Plan;

/// The key of a service and the type of its object: a constant beside that type.
pub struct Service<T> {
    name: &'static str,
    default: Option<fn() -> Payload>,
    object: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Service<T> {
    /// Only the program can lend it.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            default: None,
            object: PhantomData,
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    fn request(&self, optional: bool) -> ServiceRequest {
        ServiceRequest {
            name: self.name,
            carries: TypeInfo::of::<T>(),
            optional,
            default: self.default,
        }
    }

    pub(crate) fn required(&self) -> ServiceRequest {
        self.request(false)
    }

    pub(crate) fn optional(&self) -> ServiceRequest {
        self.request(true)
    }
}

impl<T: Default + Send + Sync + 'static> Service<T> {
    /// Made with the graph, once, where a node asks for it and the program lends none.
    pub const fn or_default(name: &'static str) -> Self {
        Self {
            name,
            default: Some(|| Payload::new(T::default())),
            object: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Service<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({})", self.name)
    }
}

/// What a contract asks for.
#[derive(Debug, Clone)]
pub struct ServiceRequest {
    pub name: &'static str,
    pub carries: TypeInfo,
    /// The node does without it.
    pub optional: bool,
    default: Option<fn() -> Payload>,
}

/// Services by name.
#[derive(Debug, Clone, Default)]
pub struct GraphServices(BTreeMap<&'static str, Payload>);

impl GraphServices {
    /// Lends an object; it takes the place of one lent before under the same key.
    pub fn with<T: Send + Sync + 'static>(mut self, service: &Service<T>, object: T) -> Self {
        self.0.insert(service.name, Payload::new(object));
        self
    }

    /// The object itself, which may have been made with the graph.
    pub fn get<T: Send + Sync + 'static>(&self, service: &Service<T>) -> Option<&T> {
        self.0.get(service.name)?.get()
    }

    /// Adds what the graph makes itself, and sees that every node gets what it asks for.
    pub(crate) fn for_graph(mut self, plan: &Plan) -> Result<Self, StartError> {
        for node in &plan.nodes {
            for request in &node.contract.services {
                if let (false, Some(make)) = (self.0.contains_key(request.name), request.default) {
                    self.0.insert(request.name, make());
                }
                let (service, node) = (request.name, node.name.clone());
                let wanted = request.carries.name();
                match self.0.get(request.name).map(Payload::type_info) {
                    None if request.optional => {}
                    None => {
                        return Err(StartError::MissingService {
                            service,
                            node,
                            wanted,
                        });
                    }
                    Some(found) if found != request.carries => {
                        return Err(StartError::ServiceType {
                            service,
                            node,
                            wanted,
                            found: found.name(),
                        });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(self)
    }

    /// The part that a contract asks for.
    pub(crate) fn requested(&self, requests: &[ServiceRequest]) -> Self {
        let asked = requests.iter().filter_map(|request| {
            let object = self.0.get(request.name)?.clone();
            Some((request.name, object))
        });
        Self(asked.collect())
    }
}

#[cfg(test)]
mod tests;
